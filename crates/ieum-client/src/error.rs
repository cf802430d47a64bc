//! What can go wrong when a service is called, and whose fault it is.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use ieum_base::{Fault, Retry};
use ieum_http::{BoxError, Problem, Sent};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call to a service.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    service: String,
    problem: Option<Problem>,
    retry_after: Option<Duration>,
    sent: Sent,
    attempts: u32,
    source: Option<BoxError>,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be built: a bad path, a bad header, a value that is no JSON.
    Invalid,
    /// The service says that there is no such thing (404, 410).
    NotFound,
    /// The service refuses the request (any other 4xx); [`Error::problem`] says why.
    Rejected,
    /// The service failed (a 5xx that tells nothing about later).
    Failed,
    /// The service cannot be reached, or says so (502, 503, no endpoint, a broken connection).
    Unavailable,
    /// No answer in time (504 too).
    Timeout,
    /// The answer is not what was expected: not the JSON asked for, or too large.
    Decode,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, service: &str) -> Self {
        Self(Box::new(Inner {
            kind,
            service: service.to_owned(),
            problem: None,
            retry_after: None,
            sent: Sent::NotSent,
            attempts: 1,
            source: None,
        }))
    }

    /// The failure that an answer stands for.
    pub(crate) fn answered(service: &str, problem: Problem, retry_after: Option<Duration>) -> Self {
        let mut error = Self::new(kind_of(problem.status_code()), service);
        error.0.retry_after = retry_after;
        error.0.problem = Some(problem);
        error.0.sent = Sent::Sent;
        error
    }

    pub(crate) fn transport(service: &str, source: ieum_http::Error) -> Self {
        let kind = match source.kind() {
            ieum_http::ErrorKind::Timeout => ErrorKind::Timeout,
            ieum_http::ErrorKind::TooLarge | ieum_http::ErrorKind::Decode => ErrorKind::Decode,
            ieum_http::ErrorKind::Invalid | ieum_http::ErrorKind::Forbidden => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, service)
            .sent_as(source.sent())
            .caused_by(source)
    }

    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn sent_as(mut self, sent: Sent) -> Self {
        self.0.sent = sent;
        self
    }

    pub(crate) fn not_before(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    pub(crate) fn after_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The service that was called.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.problem().map(Problem::status_code)
    }

    /// What the service said.
    pub fn problem(&self) -> Option<&Problem> {
        self.0.problem.as_ref()
    }

    /// The stable code of the problem, such as `insufficient-inventory`.
    pub fn code(&self) -> Option<&str> {
        self.problem()?.code.as_deref()
    }

    /// Whether the service may have seen the request.
    pub fn sent(&self) -> Sent {
        self.0.sent
    }

    /// How often it was tried; at least 1.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Rejected => Fault::Caller,
            _ => Fault::Upstream,
        }
    }

    /// Whether the same call may be made again. If it is not idempotent and [`Self::sent`], only
    /// the caller knows whether it should.
    pub fn retry(&self) -> Retry {
        match (self.kind(), self.0.retry_after) {
            (ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Decode, _) => Retry::Never,
            (ErrorKind::Rejected, None) if !is_for_now(self.status()) => Retry::Never,
            (_, Some(wait)) => Retry::After(wait),
            _ => Retry::SOON,
        }
    }
}

/// What a status of 400 or more means.
fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => ErrorKind::Timeout,
        status if status.is_server_error() => ErrorKind::Failed,
        _ => ErrorKind::Rejected,
    }
}

/// A 4xx that says nothing against the request: 408, 425, 429.
fn is_for_now(status: Option<StatusCode>) -> bool {
    matches!(
        status,
        Some(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service();
        match self.kind() {
            ErrorKind::Invalid => write!(f, "the request to `{service}` is not valid"),
            ErrorKind::NotFound => write!(f, "`{service}` does not know it"),
            ErrorKind::Rejected => write!(f, "`{service}` refuses the request"),
            ErrorKind::Failed => write!(f, "`{service}` failed"),
            ErrorKind::Unavailable => write!(f, "`{service}` is not available"),
            ErrorKind::Timeout => write!(f, "`{service}` did not answer in time"),
            ErrorKind::Decode => write!(f, "the answer of `{service}` cannot be read"),
        }?;
        match self.problem() {
            Some(problem) => write!(f, ": {problem}"),
            None => Ok(()),
        }
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
