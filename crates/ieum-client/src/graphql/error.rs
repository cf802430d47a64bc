//! What can go wrong with an operation, and how much of it was answered nevertheless.

use std::fmt;

use ieum_base::{Fault, Retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error as CallError;

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that was not answered, or not wholly.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    service: String,
    call: Option<CallError>,
    reports: Vec<Report>,
    data: Option<Value>,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call failed: there is no answer, or none of GraphQL. [`Error::failed_call`] says why.
    Call,
    /// The service refused the operation and executed nothing of it.
    Refused,
    /// It was executed, and some of it failed: [`Error::data`] has the rest.
    Partial,
}

/// One of the errors of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Report {
    /// What happened, for people.
    pub message: String,
    /// Which field of the data it is about; empty if it is about the request.
    #[serde(default)]
    pub path: Vec<Segment>,
    /// What else the service says.
    #[serde(default)]
    pub extensions: Map<String, Value>,
}

/// A step of the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Segment {
    /// A member of an object, by its name or alias.
    Field(String),
    /// An element of a list, from 0.
    Index(u64),
}

impl Report {
    /// The stable code in `extensions`, such as `FORBIDDEN`.
    pub fn code(&self) -> Option<&str> {
        self.extensions.get("code")?.as_str()
    }
}

impl Error {
    pub(super) fn call(error: CallError) -> Self {
        let service = error.service().to_owned();
        Self(Box::new(Inner {
            kind: ErrorKind::Call,
            service,
            call: Some(error),
            reports: Vec::new(),
            data: None,
        }))
    }

    pub(super) fn told(service: &str, reports: Vec<Report>, data: Option<Value>) -> Self {
        let kind = match data {
            Some(_) => ErrorKind::Partial,
            None => ErrorKind::Refused,
        };
        Self(Box::new(Inner {
            kind,
            service: service.to_owned(),
            call: None,
            reports,
            data,
        }))
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The service that was asked.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The call that failed.
    pub fn failed_call(&self) -> Option<&CallError> {
        self.0.call.as_ref()
    }

    /// The errors that the service told; none if the call failed.
    pub fn reports(&self) -> &[Report] {
        &self.0.reports
    }

    /// The code of the first error that the service told, or of the problem that it answered.
    pub fn code(&self) -> Option<&str> {
        let told = self.reports().iter().find_map(Report::code);
        told.or_else(|| self.failed_call()?.code())
    }

    /// What was answered beside the errors; `None` if that is nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Call`] with [`crate::ErrorKind::Decode`] if it does not fit `T`: fields that can
    /// fail are options.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        match &self.0.data {
            None | Some(Value::Null) => Ok(None),
            Some(data) => T::deserialize(data).map(Some).map_err(|error| {
                let call = CallError::new(crate::ErrorKind::Decode, self.service());
                Self::call(call.sent_as(ieum_http::Sent::Sent).caused_by(error))
            }),
        }
    }

    /// Whose fault it is. Of an operation that failed in part it is the caller's if the caller may
    /// not have, or misunderstood, whatever is missing.
    pub fn fault(&self) -> Fault {
        match (self.kind(), self.failed_call()) {
            (_, Some(call)) => call.fault(),
            (ErrorKind::Partial, _) if !self.all_codes(CALLERS) => Fault::Upstream,
            _ if self.all_codes(PASSING) => Fault::Upstream,
            _ => Fault::Caller,
        }
    }

    /// Whether the same operation may be sent again. A mutation that was executed in part has had an
    /// effect; only the caller knows whether to send that again.
    pub fn retry(&self) -> Retry {
        match self.failed_call() {
            Some(call) => call.retry(),
            None if self.all_codes(PASSING) => Retry::SOON,
            None => Retry::Never,
        }
    }

    fn all_codes(&self, among: &[&str]) -> bool {
        let mut codes = self.reports().iter().map(Report::code);
        let among = |code: Option<&str>| code.is_some_and(|code| among.contains(&code));
        !self.reports().is_empty() && codes.all(among)
    }
}

/// Codes that say something of the request and not of the service.
const CALLERS: &[&str] = &[
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "BAD_USER_INPUT",
    "CONFLICT",
];
/// Codes of what may work in a moment: a gateway's subgraph is away, or a service's own engine is.
const PASSING: &[&str] = &[
    "SUBGRAPH_UNREACHABLE",
    "SUBGRAPH_TIMEOUT",
    "PLANNING_TIMEOUT",
    "UNAVAILABLE",
    "TIMEOUT",
    "RATE_LIMITED",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, segment) in self.path.iter().enumerate() {
            match segment {
                Segment::Field(name) if nth == 0 => write!(f, "{name}")?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{separator}{}", self.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service();
        match self.kind() {
            ErrorKind::Call => return write!(f, "the operation was not answered by `{service}`"),
            ErrorKind::Refused => write!(f, "`{service}` refuses the operation")?,
            ErrorKind::Partial => write!(f, "`{service}` answered the operation in part")?,
        }
        match self.reports() {
            [] => Ok(()),
            [only] => write!(f, ": {only}"),
            [first, others @ ..] => write!(f, ": {first} (and {} more)", others.len()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind())?;
        match self.failed_call() {
            Some(call) => write!(f, " caused by {call:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let call = self.failed_call();
        call.map(|call| call as &(dyn std::error::Error + 'static))
    }
}
