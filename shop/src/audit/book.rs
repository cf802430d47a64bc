//! One database, opened for reading only, with every row that was looked at counted.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, Transaction};

#[cfg(feature = "postgres")]
use super::postgres::Session;
use super::row::Row;

/// How many rows an audit has looked at.
#[derive(Debug, Default)]
pub(super) struct Tally(Cell<u64>);

impl Tally {
    /// The number of rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.0.get()
    }

    /// So many more were looked at.
    pub(super) fn add(&self, rows: usize) {
        self.0.set(self.0.get() + rows as u64);
    }
}

/// A database of the shop or of the platform.
pub(super) struct Book {
    /// Its file, or its URL without a password.
    place: String,
    engine: Engine,
}

enum Engine {
    Sqlite(Connection),
    #[cfg(feature = "postgres")]
    Postgres(Session),
}

/// A database as it stood at one moment.
pub(super) struct Reading<'a> {
    place: &'a str,
    snapshot: Snapshot<'a>,
    tally: &'a Tally,
}

enum Snapshot<'a> {
    Sqlite(Transaction<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a Session),
}

impl Book {
    /// Opens a file of SQLite without changing it, also while its owner writes.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let place = file.display().to_string();
        let connection = Connection::open_with_flags(file, flags)
            .with_context(|| format!("cannot open {place} to audit it"))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let engine = Engine::Sqlite(connection);
        Ok(Self { place, engine })
    }

    /// A database of PostgreSQL, by the session that reads it.
    #[cfg(feature = "postgres")]
    pub(super) fn of(session: Session) -> Self {
        Self {
            place: session.place().to_owned(),
            engine: Engine::Postgres(session),
        }
    }

    /// Begins to read; everything read through the answer belongs to one moment.
    pub(super) fn read<'a>(&'a mut self, tally: &'a Tally) -> Result<Reading<'a>> {
        let snapshot = match &mut self.engine {
            Engine::Sqlite(connection) => Snapshot::Sqlite(connection.transaction()?),
            #[cfg(feature = "postgres")]
            Engine::Postgres(session) => {
                session.begin()?;
                Snapshot::Postgres(session)
            }
        };
        Ok(Reading {
            place: &self.place,
            snapshot,
            tally,
        })
    }
}

impl Reading<'_> {
    /// Every row that `sql` selects: it is written in what all engines understand.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let all = match &self.snapshot {
            Snapshot::Sqlite(snapshot) => select(snapshot, sql, read),
            #[cfg(feature = "postgres")]
            Snapshot::Postgres(session) => session.select(sql, read),
        };
        let all = all.with_context(|| format!("cannot audit {}", self.place))?;
        self.tally.add(all.len());
        Ok(all)
    }
}

fn select<T>(
    snapshot: &Connection,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = snapshot.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(&Row::Sqlite(row))?);
    }
    Ok(all)
}
