//! One database, opened for reading only, with every row that was looked at counted.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, Row, Transaction};

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
    file: PathBuf,
    connection: Connection,
}

/// A database as it stood at one moment.
pub(super) struct Reading<'a> {
    file: &'a Path,
    snapshot: Transaction<'a>,
    tally: &'a Tally,
}

impl Book {
    /// Opens a database without changing it, also while its owner writes.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)
            .with_context(|| format!("cannot open {} to audit it", file.display()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let file = file.to_owned();
        Ok(Self { file, connection })
    }

    /// Begins to read; everything read through the answer belongs to one moment.
    pub(super) fn read<'a>(&'a mut self, tally: &'a Tally) -> Result<Reading<'a>> {
        Ok(Reading {
            file: &self.file,
            snapshot: self.connection.transaction()?,
            tally,
        })
    }
}

impl Reading<'_> {
    /// Every row that `sql` selects.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut select = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.snapshot.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(read(row)?);
            }
            Ok(all)
        };
        let all = select().with_context(|| format!("cannot audit {}", self.file.display()))?;
        self.tally.add(all.len());
        Ok(all)
    }
}
