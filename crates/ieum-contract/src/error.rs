//! What can go wrong with a contract itself: it cannot be read, recorded, or put to anybody.
//!
//! A provider that breaks a contract is no error: it is a [`crate::matching::Mismatch`] in a report.

use std::fmt;

use ieum_base::{Fault, Retry};

/// The result of an operation on contracts.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on contracts.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A contract says what is not allowed, or what this version does not know.
    Invalid,
    /// A file cannot be read or written.
    File,
    /// Two interactions have the same description and states and differ otherwise.
    Conflict,
    /// The consumer did not do what the contract says: calls are missing, or were not expected.
    Unmet,
    /// Nobody answers at the given address, or a state could not be set up.
    Unreachable,
}

impl Error {
    /// An error with a context in lower case: what was being done, and what is wrong.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            context: context.into(),
            source: None,
        }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, said of a place: `place: what is wrong`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.context = format!("{place}: {}", self.0.context);
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Unreachable => Fault::Upstream,
            ErrorKind::File => Fault::Here,
            _ => Fault::Caller,
        }
    }

    /// Whether the same may be tried again.
    pub fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Unreachable => Retry::SOON,
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

/// The error of a contract that says what it may not.
pub(crate) fn invalid(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, context)
}
