//! The port to the subgraphs: how an operation gets to a service and its answer back.
//!
//! The executor knows no HTTP, no addresses and no identities. Whoever serves the request implements
//! [`Subgraphs`] for its one request, with what belongs to it: identity, trace, deadline, breaker.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use ieum_base::{Fault, Retry};

use crate::plan::OperationKind;

/// Sends operations to subgraphs, for one request of a client.
///
/// The executor calls `fetch` once for each fetch of the plan, several at a time where the plan says so,
/// and never again for the same one: retries are the implementation's business (a query may be sent
/// again, a mutation may not). Dropping the future abandons the call.
pub trait Subgraphs: Sync {
    /// Sends one operation and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever is not an answer in the sense of GraphQL over HTTP: not reached, too late, too large, a
    /// status without a GraphQL body.
    fn fetch(&self, call: Call<'_>) -> impl Future<Output = Result<Fetched, FetchError>> + Send;
}

/// One operation for one subgraph.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The subgraph's name, as the supergraph knows it.
    pub subgraph: &'a str,
    /// Whether it reads or writes: a write must not be sent twice.
    pub kind: OperationKind,
    /// The body of the request: JSON with `query` and, if there are any, `variables`.
    pub body: Bytes,
    /// How many representations the body carries; 0 for an operation on the root.
    pub entities: usize,
}

/// What a subgraph answered.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body of the answer, whatever the status was, if its media type or status says that it is one
    /// of GraphQL. Its size was bounded on the way.
    pub body: Bytes,
}

/// Why there is no answer.
pub struct FetchError {
    kind: FetchErrorKind,
    message: String,
}

/// What kind of failure a fetch had. Its name is the `code` that the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// No endpoint could be reached, or its breaker is open.
    Unreachable,
    /// The answer has a status that is none of success, and no GraphQL body.
    Status(u16),
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer is no GraphQL response: not JSON, or not of its shape.
    Malformed,
    /// There was no answer in time.
    Timeout,
    /// The call was refused on this side: by a limit, or because the plan asks for what is not allowed.
    Refused,
}

impl FetchError {
    /// An error with a message in lower case that a client may see: no addresses, no internals.
    pub fn new(kind: FetchErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// What a client may see.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind {
            FetchErrorKind::Refused => Fault::Caller,
            _ => Fault::Upstream,
        }
    }

    /// Whether the same operation may be sent again (a query; a mutation never is).
    pub fn retry(&self) -> Retry {
        match self.kind {
            FetchErrorKind::Unreachable | FetchErrorKind::Timeout => Retry::SOON,
            FetchErrorKind::Status(502..=504) => Retry::SOON,
            _ => Retry::Never,
        }
    }
}

impl FetchErrorKind {
    /// The `extensions.code` of the error in the answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "SUBGRAPH_UNREACHABLE",
            Self::Status(_) => "SUBGRAPH_STATUS",
            Self::TooLarge => "SUBGRAPH_TOO_LARGE",
            Self::Malformed => "SUBGRAPH_MALFORMED",
            Self::Timeout => "SUBGRAPH_TIMEOUT",
            Self::Refused => "SUBGRAPH_REFUSED",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl std::error::Error for FetchError {}
