//! Reading, inside a snapshot or a transaction.

use ieum_base::{Clock, Timestamp};

use super::params::Params;
use super::row::Row;
use super::sqlite::{self, Next};
use crate::Result;

/// The inside of a read, or of a write: what it sees does not change but by its own writes.
///
/// (Within a write on PostgreSQL each statement sees what others committed before it; what is read
/// and then written is locked first, see [`Tx::lock`](super::Tx::lock).)
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub(crate) engine: Engine<'a>,
    pub(crate) clock: &'a Clock,
}

/// The engine's own connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine<'a> {
    Sqlite(&'a rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Postgres(&'a super::postgres::Session<'a>),
}

impl<'a> Reader<'a> {
    pub(super) const fn new(engine: Engine<'a>, clock: &'a Clock) -> Self {
        Self { engine, clock }
    }

    /// Reads every row that `sql` answers.
    ///
    /// `sql` is what both dialects have in common, its parameters are `$1`, `$2`, …, each used at
    /// least once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a tuple is written at the call"
    )]
    pub fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        match self.engine {
            Engine::Sqlite(connection) => {
                sqlite::query(connection, sql, &params.parameters(), |row| {
                    rows.push(read(row)?);
                    Ok(Next::Row)
                })?;
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => {
                session.query(sql, &params.parameters(), |row| {
                    rows.push(read(row)?);
                    Ok(())
                })?;
            }
        }
        Ok(rows)
    }

    /// Reads the first row that `sql` answers, if there is one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a tuple is written at the call"
    )]
    pub fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let (mut read, mut found) = (Some(read), None);
        match self.engine {
            Engine::Sqlite(connection) => {
                sqlite::query(connection, sql, &params.parameters(), |row| {
                    found = read.take().map(|read| read(row)).transpose()?;
                    Ok(Next::Stop)
                })?;
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => {
                session.query(sql, &params.parameters(), |row| {
                    if let Some(read) = read.take() {
                        found = Some(read(row)?);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(found)
    }

    /// The time of day, on the database's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The database's clock.
    pub const fn clock(&self) -> &'a Clock {
        self.clock
    }
}
