//! Why a supergraph, or the subgraphs of one, cannot be used.

use std::fmt;

use ieum_base::{Fault, Retry};

/// A supergraph that was refused.
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Why it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not GraphQL SDL.
    Syntax,
    /// It is a schema, but not a supergraph: `join__Graph` or a query type is missing.
    NotASupergraph,
    /// It contradicts itself: something that it refers to is missing, or written wrongly.
    Inconsistent,
    /// It uses what is not supported.
    Unsupported,
    /// The subgraphs cannot be composed into one.
    Composition,
    /// The planner refused it, or failed.
    Planner,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn inconsistent(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Inconsistent, message)
    }

    /// Why it was refused.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whose fault it is: the schema's author's, but for a planner that failed.
    pub fn fault(&self) -> Fault {
        match self.kind {
            ErrorKind::Planner => Fault::Here,
            _ => Fault::Caller,
        }
    }

    /// The same text is refused again.
    pub fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

impl std::error::Error for Error {}
