//! One call as it passes through the layers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use ieum_base::{Deadline, Retry};
use ieum_discovery::EndpointId;

use crate::Error;
use crate::graphql::Label;

/// The header by which a participant knows a repeated request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that is not bound to an endpoint yet. Clones are attempts of the same call: they share
/// what was tried.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) deadline: Deadline,
    /// What it is called in its spans, if it is an operation of GraphQL.
    pub(crate) label: Option<Arc<Label>>,
    /// Whether it only reads, although its method does not say so.
    pub(crate) reads: bool,
    tried: Arc<Mutex<Vec<EndpointId>>>,
}

impl Call {
    pub(crate) fn new(method: Method, path: Uri, deadline: Deadline) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline,
            label: None,
            reads: false,
            tried: Arc::default(),
        }
    }

    /// True if doing it twice is the same as doing it once: by its method, because it only reads, or
    /// by its key.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent() || self.reads || self.headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// The endpoints that earlier attempts went to.
    pub(crate) fn tried(&self) -> Vec<EndpointId> {
        self.tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn goes_to(&self, endpoint: EndpointId) {
        self.tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(endpoint);
    }
}

/// What an attempt brought, with what the decision about another one needs.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    /// Whether another attempt makes sense.
    pub(crate) again: Retry,
}

/// An attempt without an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether another attempt makes sense.
    pub(crate) again: Retry,
}

/// Whether an answered call may be made again: 502, 503 and 504 if it is idempotent; 429 too, but
/// only if it names a time that the deadline leaves.
pub(crate) fn again_after_answer(call: &Call, response: &Response<Bytes>) -> Retry {
    let wait = retry_after(response.headers());
    let worth_it = match response.status() {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            true
        }
        StatusCode::TOO_MANY_REQUESTS => wait.is_some(),
        _ => false,
    };
    let wait = wait.unwrap_or_default();
    if worth_it && call.is_idempotent() && wait < call.deadline.left() {
        Retry::After(wait)
    } else {
        Retry::Never
    }
}

/// The seconds of a `Retry-After`. A date is ignored: it would trust the peer's clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    seconds.map(Duration::from_secs)
}
