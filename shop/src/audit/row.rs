//! A row of a database, whichever engine keeps it.

use anyhow::Result;

/// A row that was selected.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a tokio_postgres::Row),
}

/// What a column may hold: whole numbers of 64 bits, texts, and either of them or nothing.
#[cfg(not(feature = "postgres"))]
pub(super) trait Cell: rusqlite::types::FromSql {}

#[cfg(not(feature = "postgres"))]
impl<T: rusqlite::types::FromSql> Cell for T {}

/// What a column may hold: whole numbers of 64 bits, texts, and either of them or nothing.
#[cfg(feature = "postgres")]
pub(super) trait Cell:
    rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>
{
}

#[cfg(feature = "postgres")]
impl<T> Cell for T where T: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}

impl Row<'_> {
    /// The column at `index`, from 0.
    pub(super) fn get<T: Cell>(&self, index: usize) -> Result<T> {
        match self {
            Self::Sqlite(row) => Ok(row.get(index)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => Ok(row.try_get(index)?),
        }
    }
}
