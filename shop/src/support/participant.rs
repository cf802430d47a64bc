//! A service as a participant of a saga: each call of a step has its effect once, in any order.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use ieum::http::{Problem, problem};
use ieum::sql::barrier::{self, Op};
use ieum::sql::idempotency::Outcome;
use serde_json::Value;

use super::failure::{Failure, Reply};
use super::idempotency::Request;
use super::web::Internal;

/// What a request was answered: kept beside its effect, and given again when the request comes again.
pub(crate) struct Answer(pub(super) barrier::Answer);

impl Answer {
    /// It was done.
    pub(crate) fn json(status: StatusCode, body: Value) -> Self {
        Self(barrier::Answer::new(status.as_u16(), body))
    }

    /// What a request with a key is answered.
    pub(super) fn to(request: &Request, outcome: Outcome) -> Self {
        match outcome {
            Outcome::KeyReused => Self::refusal(&request.reused()),
            other => Self(other.into_answer()),
        }
    }

    /// A final no.
    pub(crate) fn refusal(problem: &Problem) -> Self {
        let body = serde_json::to_value(problem).unwrap_or_default();
        Self(barrier::Answer::new(problem.status, body))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0.body)).into_response();
        if status.is_client_error() || status.is_server_error() {
            let media_type = HeaderValue::from_static(problem::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
        }
        response
    }
}

/// A call of a saga's step, read from its headers. Calls that carry a user's identity are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call(pub(super) barrier::Call);

impl Call {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let saga = text("ieum-saga-id")?;
        let step = text("ieum-step")?;
        let epoch = text("ieum-epoch")?.parse().ok()?;
        let key = text("idempotency-key")?;
        let rest = key.strip_prefix(saga)?.strip_prefix('/')?;
        let rest = rest.strip_prefix(step)?.strip_prefix('/')?;
        let (round, op) = match rest.strip_suffix("/undo") {
            Some(round) => (round, Op::Undo),
            None => (rest, Op::Do),
        };
        Some(Self(barrier::Call {
            saga: saga.to_owned(),
            step: step.to_owned(),
            round: round.parse().ok()?,
            epoch,
            op,
        }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Reply<Self> {
        Internal::from_request_parts(parts, state).await?;
        Self::of(&parts.headers).ok_or_else(|| {
            Failure::invalid("a step is called with the headers of its saga: Ieum-Saga-Id, Ieum-Step, Ieum-Epoch, Idempotency-Key")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(key: &str) -> Option<Call> {
        let mut headers = HeaderMap::new();
        headers.insert("ieum-saga-id", HeaderValue::from_static("s-1"));
        headers.insert("ieum-step", HeaderValue::from_static("charge-payment"));
        headers.insert("ieum-epoch", HeaderValue::from_static("3"));
        headers.insert("idempotency-key", key.parse().expect("a header"));
        Call::of(&headers)
    }

    #[test]
    fn a_call_names_its_step_its_round_and_whether_it_undoes() {
        let Call(done) = call("s-1/charge-payment/2").expect("a call");
        assert_eq!((done.round, done.epoch, done.op), (2, 3, Op::Do));
        let Call(undone) = call("s-1/charge-payment/2/undo").expect("a call");
        assert_eq!(
            (undone.step.as_str(), undone.op),
            ("charge-payment", Op::Undo)
        );
    }

    #[test]
    fn a_key_of_another_saga_or_step_is_no_call() {
        for key in [
            "",
            "s-2/charge-payment/1",
            "s-1/refund/1",
            "s-1/charge-payment/",
            "s-1/charge-payment/x",
        ] {
            assert_eq!(call(key), None, "{key}");
        }
    }
}
