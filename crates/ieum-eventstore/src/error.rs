//! What can go wrong at the log, and whose fault it is.

use std::fmt;
use std::time::Duration;

use ieum_base::{Fault, Retry};

use crate::{Position, StreamName, Version};

/// The result of an operation on the log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on the log.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on the log failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The stream is not at the expected version: somebody else wrote first.
    Conflict {
        /// The stream.
        stream: StreamName,
        /// Its version; 0 if it does not exist.
        actual: Version,
    },
    /// An event that matches the condition's tags was appended after its position.
    ConditionFailed {
        /// The position of that event.
        found: Position,
    },
    /// Some of the events are in the log already and some are not, or they are there otherwise
    /// (another stream or type): the batch is not a repetition of an earlier one.
    PartialDuplicate,
    /// The writer lost its lease: a later epoch exists.
    Fenced {
        /// The epoch that holds.
        actual: u64,
    },
    /// The checkpoint belongs to another incarnation of the log, or lies beyond its head.
    ForeignCheckpoint,
    /// The request breaks a documented limit.
    Invalid,
    /// There is no room; reads go on and writing resumes by itself.
    Full,
    /// What is stored does not match its checksum or its schema.
    Corrupt,
    /// The engine does not answer, or refuses until it was repaired. Whether an append happened is
    /// unknown: append the same events again, they count once.
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
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Conflict { .. }
            | ErrorKind::ConditionFailed { .. }
            | ErrorKind::PartialDuplicate
            | ErrorKind::Fenced { .. }
            | ErrorKind::ForeignCheckpoint
            | ErrorKind::Invalid => Fault::Caller,
            _ => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Full => Retry::After(Duration::from_secs(1)),
            ErrorKind::Unavailable => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = &self.0.context;
        match self.kind() {
            ErrorKind::Conflict { stream, actual } => {
                write!(f, "{context}: stream `{stream}` is at version {actual}")
            }
            ErrorKind::ConditionFailed { found } => {
                write!(
                    f,
                    "{context}: the event at position {found} came in between"
                )
            }
            ErrorKind::PartialDuplicate => {
                write!(
                    f,
                    "{context}: some of these event ids are already in the log"
                )
            }
            ErrorKind::Fenced { actual } => write!(f, "{context}: epoch {actual} has taken over"),
            ErrorKind::ForeignCheckpoint => {
                write!(f, "{context}: the checkpoint does not belong to this log")
            }
            ErrorKind::Full => write!(f, "{context}: no space left"),
            ErrorKind::Corrupt => write!(f, "{context}: the stored data are damaged"),
            ErrorKind::Unavailable => write!(f, "{context}: the log is not available"),
            ErrorKind::Invalid | ErrorKind::Internal => f.write_str(context),
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
