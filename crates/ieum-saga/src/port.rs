//! The port to the participants: how the engine calls a service.
//!
//! The engine does not know HTTP clients. Whoever hosts it implements [`Participants`], and tests
//! script it. The one thing that an implementation must get right is the difference between a call
//! that was certainly not sent and one whose fate is unknown.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ieum_base::Deadline;
use ieum_base::trace::TraceContext;
use serde_json::Value;

use crate::definition::Method;

/// The services that take part in sagas.
#[async_trait]
pub trait Participants: Send + Sync + 'static {
    /// Makes one call, once: the engine does the retries, because each of its attempts is written
    /// down. Never fails: what went wrong is the result. Dropping the future leaves the call's fate
    /// unknown.
    async fn call(&self, call: Call) -> CallResult;

    /// Why a call of `service` would certainly not be sent now, if that is known without making it:
    /// no instance, or an open circuit breaker. While there is a reason the engine waits without
    /// writing attempts down. A hint; nothing is known by default.
    fn absence(&self, service: &str) -> Option<String> {
        let _ = service;
        None
    }

    /// A number that changes when instances of `service` come or go.
    fn presence(&self, service: &str) -> u64 {
        let _ = service;
        0
    }

    /// Waits until the number of `service` is another one than `known`, and answers it. It is how
    /// the return of a participant wakes the sagas that wait for it. Cancel safe; never by default.
    async fn presence_changed(&self, service: &str, known: u64) -> u64 {
        let _ = (service, known);
        std::future::pending().await
    }
}

/// One call of a participant.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name of the service.
    pub service: String,
    /// The method.
    pub method: Method,
    /// The path and query, ready to be sent.
    pub path: String,
    /// The headers: the idempotency key and the `Ieum-*` family, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON to be sent.
    pub body: Option<Value>,
    /// When an answer is of no use any more.
    pub deadline: Deadline,
    /// The parent of the call's span, to be sent as `traceparent`.
    pub trace: Option<TraceContext>,
    /// The most bytes of an answer's body.
    pub max_answer: usize,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// The participant answered.
    Answered(Answered),
    /// The request certainly did not reach the participant: no instance, no connection, an open
    /// circuit breaker, a full bulkhead.
    NotSent {
        /// Why.
        why: String,
        /// Not before this long from now, if that is known.
        after: Option<Duration>,
    },
    /// The request may have reached it: the connection broke, the time was over, or the answer was
    /// cut off.
    Unknown {
        /// Why.
        why: String,
    },
    /// It answered with more than [`Call::max_answer`], as it will to every repetition.
    TooLarge {
        /// Why.
        why: String,
    },
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Answered {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The header by which a participant recognises a repeated call: `{saga}/{step}/{round}`, and
/// `…/undo` for what undoes it.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header with the saga's id.
pub const SAGA_ID: &str = "ieum-saga-id";
/// The header with the step's name.
pub const STEP: &str = "ieum-step";
/// The header with the round.
pub const ROUND: &str = "ieum-round";
/// The header with the epoch of the engine that calls: a participant refuses an earlier one.
pub const EPOCH: &str = "ieum-epoch";
/// The header that says `do` or `undo`.
pub const OPERATION: &str = "ieum-operation";
