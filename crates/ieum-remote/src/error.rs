//! What can go wrong with a platform's API outside the ports, which have errors of their own.

use std::fmt;
use std::time::Duration;

use ieum_base::{Fault, Retry};

/// The result of a call of the platform's API.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call of the platform's API.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    code: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why a call of the platform's API failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL, a name or the body is wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// What is asked for contradicts what is there.
    Conflict,
    /// The token is missing, wrong, or not good for this.
    Denied,
    /// The platform does not answer, or not now. Whether the call was carried out is unknown.
    Unavailable,
    /// The platform answered something that cannot be read: another version, or a defect.
    Internal,
}

impl Error {
    /// An error with a context in lower case: what was being done.
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            context: context.into(),
            code: None,
            source: None,
        }))
    }

    #[must_use]
    pub(crate) fn with_code(mut self, code: &str) -> Self {
        self.0.code = Some(code.to_owned()).filter(|code| !code.is_empty());
        self
    }

    #[must_use]
    pub(crate) fn caused_by(
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

    /// The platform's code, `IEUM-NNNN`, if it gave one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Denied => {
                Fault::Caller
            }
            ErrorKind::Unavailable | ErrorKind::Internal => Fault::Upstream,
        }
    }

    /// Whether the same call may be made again.
    pub const fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Unavailable => Retry::After(Duration::ZERO),
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)?;
        self.code().map_or(Ok(()), |code| write!(f, " ({code})"))
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
