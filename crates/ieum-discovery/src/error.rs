//! What can go wrong at the registry, and whose fault it is.

use std::fmt;

use ieum_base::{Fault, Retry};

/// The result of an operation on the registry.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on registrations.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on the registry failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registration breaks a rule: an empty name, a script check, an address that the egress
    /// policy refuses.
    Invalid,
    /// There is no such instance, check or service.
    NotFound,
    /// The registry does not answer, or cannot write.
    Unavailable,
    /// The store is at its limit: something must be deleted first.
    Full,
    /// A defect of ours.
    Internal,
}

impl Error {
    /// An error with a context in lower case: what was being done.
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

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Full => Fault::Caller,
            ErrorKind::Unavailable => Fault::Upstream,
            ErrorKind::Internal => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub const fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Unavailable => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = &self.0.context;
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::Full | ErrorKind::Internal => f.write_str(context),
            ErrorKind::NotFound => write!(f, "{context}: not registered"),
            ErrorKind::Unavailable => write!(f, "{context}: the registry is not available"),
        }
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
