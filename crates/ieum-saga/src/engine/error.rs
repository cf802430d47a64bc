//! What can go wrong with sagas, and whose fault it is.

use std::fmt;
use std::time::Duration;

use ieum_base::{Fault, Retry};

use crate::definition::Invalid;

/// The result of an operation on sagas.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on sagas.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on sagas failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No definition has this name.
    UnknownDefinition,
    /// No saga has this id.
    UnknownSaga,
    /// The definition is wrong; everything that is wrong with it is named.
    InvalidDefinition(Invalid),
    /// The key is empty or too long, or the input lacks something that a template needs.
    InvalidInput,
    /// The input is larger than the limit.
    TooLarge {
        /// Its size in bytes of JSON.
        actual: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The key has started a saga with another input.
    KeyReused,
    /// The saga has reached its pivot: there is only forward.
    TooLate,
    /// The saga has ended.
    Ended,
    /// Only a parked saga can be resumed.
    NotParked,
    /// As many sagas are open as are allowed.
    Busy,
    /// A later engine works on this log; this one does nothing any more.
    Superseded,
    /// The engine is stopping.
    Stopping,
    /// The log failed. Whether the request was carried out is unknown; repeating it is harmless.
    Log,
    /// The settings are wrong.
    Config,
    /// What is stored cannot be read by this version.
    Unreadable,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            context: context.into(),
            source: None,
        }))
    }

    pub(crate) fn caused_by(
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
            ErrorKind::Busy
            | ErrorKind::Superseded
            | ErrorKind::Stopping
            | ErrorKind::Log
            | ErrorKind::Unreadable => Fault::Here,
            _ => Fault::Caller,
        }
    }

    /// Whether the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Busy => Retry::After(Duration::from_secs(1)),
            ErrorKind::Log | ErrorKind::Superseded | ErrorKind::Stopping => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl From<ieum_eventstore::Error> for Error {
    fn from(error: ieum_eventstore::Error) -> Self {
        let kind = match error.kind() {
            ieum_eventstore::ErrorKind::Fenced { .. } => ErrorKind::Superseded,
            _ => ErrorKind::Log,
        };
        Self::new(kind, "the log refused").caused_by(error)
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        let context = invalid.to_string();
        Self::new(ErrorKind::InvalidDefinition(invalid), context)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = &self.0.context;
        match self.kind() {
            ErrorKind::UnknownDefinition => write!(f, "no saga is defined as `{context}`"),
            ErrorKind::UnknownSaga => write!(f, "there is no saga `{context}`"),
            ErrorKind::TooLarge { actual, limit } => {
                write!(
                    f,
                    "{context}: {actual} bytes of input, the limit is {limit}"
                )
            }
            ErrorKind::KeyReused => {
                write!(
                    f,
                    "the key `{context}` has started a saga with another input"
                )
            }
            ErrorKind::TooLate => write!(f, "saga {context} has reached its pivot: only forward"),
            ErrorKind::Ended => write!(f, "saga {context} has ended"),
            ErrorKind::NotParked => write!(f, "saga {context} is not parked"),
            ErrorKind::Busy => write!(f, "{context}: too many sagas are open"),
            ErrorKind::Superseded => write!(f, "{context}: a later engine has taken over"),
            ErrorKind::Stopping => write!(f, "{context}: the engine is stopping"),
            ErrorKind::InvalidDefinition(_)
            | ErrorKind::InvalidInput
            | ErrorKind::Log
            | ErrorKind::Config
            | ErrorKind::Unreadable => f.write_str(context),
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
