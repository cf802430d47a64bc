//! What can go wrong in a database, whose fault it is, and what to do about it.
//!
//! Errors of opening are read by an operator: their text names the file and the way out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Fault, Retry};
use ieum_eventstore as log;
use ieum_messaging as messaging;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// The result of an operation on a database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a database. Clones share its cause: one failed commit is many answers.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on a database failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file, or its directory, or the database of a server is not there.
    Missing,
    /// The server does not know the user, or the user may not do this.
    Denied,
    /// No server answers, or it does not take connections now. Nothing was done.
    Unreachable,
    /// The server is too old, a standby, or set up so that an acknowledged write can be lost.
    Unsupported,
    /// Another process owns the file.
    Locked,
    /// The file is not a SQLite database.
    NotADatabase,
    /// The database belongs to another program.
    Foreign,
    /// The database was written by a newer version of ieum.
    Newer,
    /// What is stored is damaged.
    Corrupt,
    /// The file or its directory may not be written.
    ReadOnly,
    /// There is no room; reads go on and writing resumes by itself.
    Full,
    /// A sync to disk failed: what was in doubt is never retried as if nothing had happened. The
    /// database refuses writes until it is opened again, which copies the file to a new, synced one;
    /// where that fails, opening is refused with this too.
    Poisoned,
    /// Somebody else held a lock for too long. Nothing was written.
    Busy,
    /// The database was closed.
    Closed,
    /// A row breaks a constraint of its table.
    Constraint,
    /// The call breaks a documented rule.
    Invalid,
    /// Reading or writing the file failed, or the connection was lost; whether it happened is unknown.
    Io,
    /// A defect, such as a panic in a closure.
    Internal,
}

impl Error {
    /// An error with a context in lower case: what is wrong, and the way out.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            context: context.into(),
            source: None,
        }))
    }

    /// An error with its cause.
    pub(crate) fn with_source(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            context: context.into(),
            source: Some(source.into()),
        }))
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::Constraint => Fault::Caller,
            _ => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Full => Retry::After(Duration::from_secs(1)),
            ErrorKind::Busy | ErrorKind::Io | ErrorKind::Unreachable => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind())?;
        self.0
            .source
            .as_ref()
            .map_or(Ok(()), |source| write!(f, " caused by {source:?}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, context) = classify(&error);
        Self::with_source(kind, context, error)
    }
}

impl From<Error> for log::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Full => log::ErrorKind::Full,
            ErrorKind::Corrupt | ErrorKind::NotADatabase => log::ErrorKind::Corrupt,
            ErrorKind::Invalid => log::ErrorKind::Invalid,
            ErrorKind::Internal | ErrorKind::Constraint => log::ErrorKind::Internal,
            _ => log::ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

impl From<Error> for messaging::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Full => messaging::ErrorKind::Full,
            ErrorKind::Invalid => messaging::ErrorKind::Invalid,
            ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Constraint => {
                messaging::ErrorKind::Internal
            }
            _ => messaging::ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

/// True if `error` says that data may not have reached the disk although they were written.
pub(crate) fn is_sync_failure(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        extended,
        Some(
            ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_CLOSE
                | ffi::SQLITE_IOERR_WRITE
        )
    )
}

fn classify(error: &rusqlite::Error) -> (ErrorKind, String) {
    let Some(code) = error.sqlite_error_code() else {
        return (ErrorKind::Internal, "a statement was refused".to_owned());
    };
    let (kind, context) = match code {
        ErrorCode::DiskFull => (ErrorKind::Full, "the disk or the file's limit is full"),
        ErrorCode::DatabaseCorrupt => (ErrorKind::Corrupt, "the database is damaged"),
        ErrorCode::NotADatabase => (ErrorKind::NotADatabase, "the file is not a database"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (ErrorKind::Busy, "the database is locked")
        }
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => {
            (ErrorKind::ReadOnly, "the database may not be written")
        }
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => (
            ErrorKind::Io,
            "the database's file cannot be read or written",
        ),
        ErrorCode::ConstraintViolation => (ErrorKind::Constraint, "a row breaks a constraint"),
        _ => (ErrorKind::Internal, "a statement was refused"),
    };
    (kind, context.to_owned())
}
