//! A write transaction as a closure sees it.

use std::ops::Deref;

use ieum_base::{Clock, Timestamp, Uuid};
use rusqlite::Connection;

use crate::Error;

/// The inside of a write: a connection in a transaction that commits after the closure returned
/// `Ok`, and forgets everything the closure did if it returned `Err` or panicked.
///
/// It is proof of being inside: what must commit together with something else takes a `&Tx`. The
/// closure must not end the transaction itself.
#[derive(Clone, Copy, Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
    clock: &'a Clock,
}

impl<'a> Tx<'a> {
    pub(crate) const fn new(connection: &'a Connection, clock: &'a Clock) -> Self {
        Self { connection, clock }
    }

    /// The time of day, on the database's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id: UUID version 7.
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// The database's clock.
    pub const fn clock(&self) -> &Clock {
        self.clock
    }

    /// Runs `work` so that its changes are forgotten if it answers `Err`, and kept otherwise.
    pub fn nested<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.run("SAVEPOINT ieum_nested")?;
        let outcome = work();
        if outcome.is_err() && !self.connection.is_autocommit() {
            self.run("ROLLBACK TO ieum_nested")?;
        }
        if !self.connection.is_autocommit() {
            self.run("RELEASE ieum_nested")?;
        }
        outcome
    }

    fn run<E: From<Error>>(&self, sql: &str) -> Result<(), E> {
        let done = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut s| s.execute([]));
        done.map(drop).map_err(|error| Error::from(error).into())
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}
