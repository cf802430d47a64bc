//! What can go wrong with a cache.

use std::fmt;

use ieum_base::{Fault, Retry};

/// The result of an operation on a cache.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a cache. Whoever meets one goes on as if there were no cache.
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on a cache failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key or the value can never be kept: empty, too long.
    Invalid,
    /// The engine does not answer, or not in time. Whether it happened is unknown.
    Unavailable,
    /// A defect of ours, or something else than a cache behind the key.
    Internal,
}

impl Error {
    /// An error with a context in lower case: what was being done.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.kind {
            ErrorKind::Invalid => Fault::Caller,
            ErrorKind::Unavailable => Fault::Upstream,
            ErrorKind::Internal => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub const fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::Unavailable => Retry::SOON,
            ErrorKind::Invalid | ErrorKind::Internal => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Unavailable => write!(f, "{}: the cache does not answer", self.context),
            ErrorKind::Invalid | ErrorKind::Internal => f.write_str(&self.context),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)?;
        match &self.source {
            Some(source) => write!(f, " caused by {source:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref();
        source.map(|source| source as &(dyn std::error::Error + 'static))
    }
}
