//! What can go wrong with messages, and whose fault it is.

use std::fmt;
use std::time::Duration;

use ieum_base::{Fault, Retry};

use crate::MessageError;

/// The result of an operation on messages.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on messages.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on messages failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message can never be accepted: too large, malformed, or its id was used for another one.
    Invalid,
    /// Another member works for the group.
    Busy,
    /// Another member has taken over; what this one does no longer counts.
    Superseded,
    /// There is no room; it resumes by itself.
    Full,
    /// The engine does not answer. Whether it happened is unknown.
    Unavailable,
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
            ErrorKind::Invalid | ErrorKind::Superseded => Fault::Caller,
            ErrorKind::Busy | ErrorKind::Full | ErrorKind::Unavailable => Fault::Upstream,
            ErrorKind::Internal => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub const fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Busy | ErrorKind::Full => Retry::After(Duration::from_secs(1)),
            ErrorKind::Unavailable => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl From<MessageError> for Error {
    fn from(error: MessageError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string()).caused_by(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = &self.0.context;
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::Internal => f.write_str(context),
            ErrorKind::Busy => write!(f, "{context}: another member works for the group"),
            ErrorKind::Superseded => write!(f, "{context}: another member has taken over"),
            ErrorKind::Full => write!(f, "{context}: no space left"),
            ErrorKind::Unavailable => write!(f, "{context}: the broker does not answer"),
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
