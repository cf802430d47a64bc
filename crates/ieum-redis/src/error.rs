//! What can go wrong with Redis, and what each port makes of it.

use std::fmt;

use ieum_base::{EngineUrl, Fault, Retry};
use ieum_messaging as messaging;
use ieum_resilience::{cache, rate_limit};
use redis::{ErrorKind as Native, RedisError, ServerErrorKind};

/// The result of an operation on Redis.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on Redis. It names the server by its URL, without the password.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why an operation on Redis failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL makes no sense.
    Url,
    /// The server is there and will not have us: a wrong password, a missing permission, a replica,
    /// too old a version, no Redis at all.
    Refused,
    /// The server does not answer, or not in time. Whether it happened is unknown.
    Unavailable,
    /// The server takes no more writes: its memory or its disk is full. It resumes by itself.
    Full,
    /// The server answered what we do not understand: a defect, or somebody else's data.
    Internal,
}

impl Error {
    /// An error with a context in lower case.
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

    /// What the client library says of the server at `url`.
    pub(crate) fn native(url: &EngineUrl, error: RedisError) -> Self {
        let (kind, why) = explain(&error);
        Self::new(kind, format!("`{url}`: {why}")).caused_by(error)
    }

    pub(crate) fn unavailable(url: &EngineUrl, why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable, format!("`{url}`: {why}"))
    }

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Url => Fault::Caller,
            ErrorKind::Refused | ErrorKind::Unavailable | ErrorKind::Full => Fault::Upstream,
            ErrorKind::Internal => Fault::Here,
        }
    }

    /// Whether the same call may be made again.
    pub const fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Full => Retry::SOON,
            ErrorKind::Url | ErrorKind::Refused | ErrorKind::Internal => Retry::Never,
        }
    }
}

/// What an error of the client library means, and what to do about it.
fn explain(error: &RedisError) -> (ErrorKind, String) {
    let code = error.code().unwrap_or_default();
    let said = error.detail().unwrap_or_default();
    let any = |words: &[&str]| words.iter().any(|w| code == *w || said.contains(w));
    if any(&["WRONGPASS"]) {
        let why = "the user or the password is wrong: check both in the URL";
        return (ErrorKind::Refused, why.to_owned());
    }
    if any(&["NOAUTH"]) {
        let why = "it asks for a password and the URL has none: `redis://:PASSWORD@HOST`";
        return (ErrorKind::Refused, why.to_owned());
    }
    if any(&["NOPERM"]) {
        let why = format!("the user lacks a permission ({said}): widen its ACL");
        return (ErrorKind::Refused, why);
    }
    if any(&["OOM"]) {
        let why = "its memory is full (`maxmemory`): give it more, or keep less";
        return (ErrorKind::Full, why.to_owned());
    }
    if any(&["MISCONF"]) {
        let why = "it cannot write to its disk and takes no more writes: make room";
        return (ErrorKind::Full, why.to_owned());
    }
    if any(&["WRONGTYPE"]) {
        let why = "a key of ours holds something of somebody else: set another `prefix`";
        return (ErrorKind::Internal, why.to_owned());
    }
    match error.kind() {
        Native::AuthenticationFailed => (
            ErrorKind::Refused,
            format!("it refuses our credentials: {said}"),
        ),
        Native::RESP3NotSupported => (
            ErrorKind::Refused,
            "it is too old: Redis 6.2 or newer is needed".to_owned(),
        ),
        Native::InvalidClientConfig => (ErrorKind::Url, format!("the URL makes no sense: {said}")),
        Native::Parse => (
            ErrorKind::Refused,
            "what answers there is no Redis: check host and port".to_owned(),
        ),
        Native::Server(ServerErrorKind::ReadOnly) => (
            ErrorKind::Refused,
            "it is a replica, which takes no writes: name the primary".to_owned(),
        ),
        Native::Io => (ErrorKind::Unavailable, format!("no answer ({error})")),
        Native::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown,
        ) => (ErrorKind::Unavailable, format!("not ready ({error})")),
        _ => (ErrorKind::Internal, format!("unexpected answer: {error}")),
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
        match &self.0.source {
            Some(source) => write!(f, " caused by {source:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref();
        source.map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for messaging::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Url => messaging::ErrorKind::Invalid,
            ErrorKind::Refused | ErrorKind::Unavailable => messaging::ErrorKind::Unavailable,
            ErrorKind::Full => messaging::ErrorKind::Full,
            ErrorKind::Internal => messaging::ErrorKind::Internal,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

impl From<Error> for cache::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Refused | ErrorKind::Unavailable | ErrorKind::Full => {
                cache::ErrorKind::Unavailable
            }
            ErrorKind::Url | ErrorKind::Internal => cache::ErrorKind::Internal,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

impl From<Error> for rate_limit::StoreError {
    fn from(error: Error) -> Self {
        Self::new(error.to_string()).caused_by(error)
    }
}
