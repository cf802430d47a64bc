//! What can go wrong between us and a peer, and whether the peer may have seen the request.
//!
//! The second question decides retries: a request that certainly never left may go to another
//! endpoint whatever its method is; one that may have arrived may be repeated only if repeating it
//! is harmless.

use std::fmt;

use ieum_base::{Fault, Retry};

/// The result of an HTTP operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error that can cause ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed HTTP operation.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    sent: Sent,
    context: String,
    source: Option<BoxError>,
}

/// Why an HTTP operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or its URL is not well formed.
    Invalid,
    /// The address may not be called (the egress policy).
    Forbidden,
    /// No connection could be opened: the name does not resolve, or nobody listens.
    Connect,
    /// No secure connection could be agreed upon.
    Tls,
    /// As many requests as the peer takes at once are running, and others wait.
    Busy,
    /// The answer did not come in time.
    Timeout,
    /// The connection broke, or the peer did not speak HTTP.
    Broken,
    /// A body is larger than the limit.
    TooLarge,
    /// A body is not what its content type says.
    Decode,
}

/// Whether the peer may have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not one byte left: sending it again cannot double anything.
    NotSent,
    /// It may have arrived.
    Sent,
}

impl Error {
    /// An error with a context in lower case: what was being done.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        let sent = match kind {
            ErrorKind::Invalid
            | ErrorKind::Forbidden
            | ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Busy => Sent::NotSent,
            _ => Sent::Sent,
        };
        Self(Box::new(Inner {
            kind,
            sent,
            context: context.into(),
            source: None,
        }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, for a request that certainly never left.
    #[must_use]
    pub fn not_sent(mut self) -> Self {
        self.0.sent = Sent::NotSent;
        self
    }

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the peer may have seen the request.
    pub const fn sent(&self) -> Sent {
        self.0.sent
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::Forbidden => Fault::Caller,
            _ => Fault::Upstream,
        }
    }

    /// Whether the same request may be sent again, *if* it is idempotent or was [`Sent::NotSent`].
    pub const fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Connect | ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Broken => {
                Retry::SOON
            }
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind() {
            ErrorKind::Invalid => "not a valid request",
            ErrorKind::Forbidden => "the address may not be called",
            ErrorKind::Connect => "no connection",
            ErrorKind::Tls => "no secure connection",
            ErrorKind::Busy => "no place for another request",
            ErrorKind::Timeout => "no answer in time",
            ErrorKind::Broken => "the connection broke",
            ErrorKind::TooLarge => "the body is too large",
            ErrorKind::Decode => "the body cannot be read",
        };
        write!(f, "{}: {what}", self.0.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self}, {:?})", self.kind(), self.sent())?;
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
