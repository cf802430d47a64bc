//! A write transaction as a closure sees it.

use std::ops::Deref;

use ieum_base::{Clock, Uuid};

use super::params::Params;
use super::reader::{Engine, Reader};
use super::sqlite;
use crate::sqlite::Tx as SqliteTx;
use crate::{Error, ErrorKind, Result};

/// The inside of a write: it commits after the closure returned `Ok`, and forgets everything that the
/// closure did if it returned `Err` or panicked.
///
/// It is proof of being inside: what must commit together with something else takes a `&Tx`. After a
/// statement failed, the transaction can only end: run what may fail [nested](Tx::nested).
#[derive(Clone, Copy, Debug)]
pub struct Tx<'a> {
    reader: Reader<'a>,
}

impl<'a> Tx<'a> {
    pub(super) const fn new(engine: Engine<'a>, clock: &'a Clock) -> Self {
        Self {
            reader: Reader::new(engine, clock),
        }
    }

    /// Runs a statement, and says how many rows it changed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a tuple is written at the call"
    )]
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<u64> {
        match self.engine {
            Engine::Sqlite(connection) => sqlite::execute(connection, sql, &params.parameters()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => session.execute(sql, &params.parameters()),
        }
    }

    /// A new id: UUID version 7; later ones sort later.
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Nobody else who locks `name` goes on until this transaction ends.
    ///
    /// What is read and then written is locked first, or is one conditional statement: on PostgreSQL
    /// transactions run beside each other. (SQLite has one writer, who needs no lock.) Take several
    /// in sorted order, or two transactions wait for each other: one of them is told `Busy` then.
    pub fn lock(&self, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a lock has a name"));
        }
        match self.engine {
            Engine::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => {
                let name = format!("ieum_lock {name}");
                session.wait(crate::postgres::lock(session.transaction, &name))
            }
        }
    }

    /// Runs `work` so that its changes are forgotten if it answers `Err`, and kept otherwise.
    pub fn nested<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self.engine {
            Engine::Sqlite(connection) => SqliteTx::new(connection, self.clock).nested(work),
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => session.nested(work),
        }
    }

    /// The transaction of the engine, for what is written for one engine.
    pub(crate) const fn engine(&self) -> On<'a> {
        match self.reader.engine {
            Engine::Sqlite(connection) => On::Sqlite(SqliteTx::new(connection, self.reader.clock)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => On::Postgres(session),
        }
    }
}

/// The transaction of an engine.
pub(crate) enum On<'a> {
    Sqlite(SqliteTx<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a super::postgres::Session<'a>),
}

impl<'a> Deref for Tx<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}
