//! Two kinds of failure inside a transaction of the log: SQLite's, and the log's own answer.

use ieum_eventstore::{Error, ErrorKind};

/// What a step in a transaction failed with.
pub(crate) enum Failure {
    /// SQLite refused a statement.
    Sql(rusqlite::Error),
    /// The log says no.
    Log(Error),
}

impl Failure {
    /// Stored data that cannot be what was written.
    pub(crate) fn corrupt(context: impl Into<String>) -> Self {
        Self::Log(Error::new(ErrorKind::Corrupt, context))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => crate::Error::from(error).into(),
            Failure::Log(error) => error,
        }
    }
}
