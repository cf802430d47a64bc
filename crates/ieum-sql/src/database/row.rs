//! One row of an answer.

use super::value::{FromValue, Value};
use crate::{Error, ErrorKind, Result};

/// A row that a statement answered.
#[derive(Debug)]
pub struct Row<'a>(pub(crate) Source<'a>);

/// The engine's own row.
pub(crate) enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a tokio_postgres::Row),
}

/// A column: its place from 0, or its name.
pub trait Column: std::fmt::Debug + Copy {
    /// Its place; `None` if there is no such column.
    fn place(self, row: &Row<'_>) -> Option<usize>;
}

impl Column for usize {
    fn place(self, row: &Row<'_>) -> Option<usize> {
        (self < row.len()).then_some(self)
    }
}

impl Column for &str {
    fn place(self, row: &Row<'_>) -> Option<usize> {
        match &row.0 {
            Source::Sqlite(row) => row.as_ref().column_index(self).ok(),
            #[cfg(feature = "postgres")]
            Source::Postgres(row) => row.columns().iter().position(|it| it.name() == self),
        }
    }
}

impl Row<'_> {
    /// The value of a column as `T`. Refused if there is no such column, or if what is in it is no
    /// `T`: null is none but an `Option`, and a number must fit.
    pub fn get<T: FromValue>(&self, column: impl Column) -> Result<T> {
        let place = column.place(self).ok_or_else(|| {
            let context = format!("the answer has no column {column:?}");
            Error::new(ErrorKind::Invalid, context)
        })?;
        T::from_value(self.value(place)?).ok_or_else(|| {
            let wanted = std::any::type_name::<T>();
            let context = format!("column {column:?} of the answer is no {wanted}");
            Error::new(ErrorKind::Internal, context)
        })
    }

    fn len(&self) -> usize {
        match &self.0 {
            Source::Sqlite(row) => row.as_ref().column_count(),
            #[cfg(feature = "postgres")]
            Source::Postgres(row) => row.len(),
        }
    }

    fn value(&self, place: usize) -> Result<Value<'_>> {
        match &self.0 {
            Source::Sqlite(row) => super::sqlite::value(row, place),
            #[cfg(feature = "postgres")]
            Source::Postgres(row) => Ok(row.try_get::<_, super::types::Column<'_>>(place)?.0),
        }
    }
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = match self {
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
        };
        f.write_str(engine)
    }
}
