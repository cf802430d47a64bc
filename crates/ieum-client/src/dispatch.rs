//! The innermost service: one attempt at one endpoint.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use ieum_base::trace::{Span, SpanKind, TraceContext, Tracer};
use ieum_base::{Deadline, Retry, redact};
use ieum_discovery::{Absence, Outcome, Picked, Service, balance};
use ieum_http::{HttpClient, Sent, Target, body, propagation};

use crate::call::{Answer, Call, Failure, again_after_answer, retry_after};
use crate::{Error, ErrorKind};

/// Picks an endpoint, sends the request, and tells the endpoint how it went.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) service: Arc<Service>,
    pub(crate) http: HttpClient,
    pub(crate) tracer: Tracer,
    pub(crate) policy: balance::Policy,
    /// The time for an attempt that others may follow.
    pub(crate) per_try: Duration,
    /// How many may follow the first.
    pub(crate) retries: u32,
    /// The largest answer, in bytes.
    pub(crate) max_answer: usize,
}

impl tower::Service<Call> for Dispatch {
    type Response = Answer;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Answer, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.clone().attempt(call).boxed()
    }
}

impl Dispatch {
    async fn attempt(self, call: Call) -> Result<Answer, Failure> {
        let tried = call.tried();
        let limit = self.limit(&call, tried.len());
        let mut span = self.span(&call, tried.len());
        let picked = self
            .service
            .pick_within(limit.left(), self.policy, &tried)
            .await
            .map_err(|absence| {
                span.fail(absence.to_string());
                self.nobody(absence)
            })?;
        call.goes_to(picked.endpoint().id());
        span.set("server.address", picked.authority().to_string());
        let exchange = self.exchange(&call, &picked, span.context(), limit);
        // Dropped in the middle, `picked` reports that nothing was learnt.
        match exchange.await {
            Ok(response) => Ok(answered(&call, picked, response, &mut span)),
            Err(error) => {
                span.fail(error.to_string());
                picked.finish(outcome_of(&error));
                let may = call.is_idempotent() || error.sent() == Sent::NotSent;
                let again = if may { error.retry() } else { Retry::Never };
                let error = Error::transport(self.service.name(), error);
                Err(Failure { error, again })
            }
        }
    }

    /// Until when this attempt may take: all that is left if no other can follow.
    fn limit(&self, call: &Call, earlier: usize) -> Deadline {
        if call.is_idempotent() && earlier < self.retries as usize {
            call.deadline.at_most(self.per_try)
        } else {
            call.deadline
        }
    }

    async fn exchange(
        &self,
        call: &Call,
        picked: &Picked,
        context: &TraceContext,
        limit: Deadline,
    ) -> ieum_http::Result<Response<Bytes>> {
        let target = Target::http(picked.authority().as_str())?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.path.clone();
        *request.headers_mut() = call.headers.clone();
        let formats = self.tracer.propagators();
        propagation::inject_as(request.headers_mut(), context, formats);
        let exchange = async {
            let (head, incoming) = self.http.send_to(&target, request).await?.into_parts();
            let collected = body::collect(incoming, self.max_answer).await?;
            Ok(Response::from_parts(head, collected))
        };
        match tokio::time::timeout_at(limit.instant(), exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ieum_http::Error::new(
                ieum_http::ErrorKind::Timeout,
                target.to_string(),
            )),
        }
    }

    fn span(&self, call: &Call, earlier: usize) -> Span {
        let name = format!("{} {}", call.method, self.service.name());
        let mut span = self.tracer.span(name).kind(SpanKind::Client).start();
        if span.is_recorded() {
            span.set("http.request.method", call.method.to_string());
            span.set("url.path", redact::path(call.path.path()).into_owned());
            span.set("peer.service", self.service.name().to_owned());
            if let Some(label) = &call.label {
                span.set("graphql.operation.type", label.kind);
                if let Some(name) = &label.name {
                    span.set("graphql.operation.name", name.clone());
                }
            }
        }
        if earlier > 0 {
            let resent = i64::try_from(earlier).unwrap_or(i64::MAX);
            span.set("http.request.resend_count", resent);
        }
        span
    }

    fn nobody(&self, absence: Absence) -> Failure {
        let error = Error::new(ErrorKind::Unavailable, self.service.name());
        let error = match absence.retry() {
            Retry::After(wait) if !wait.is_zero() => error.not_before(wait),
            _ => error,
        };
        // A moment later there is still nobody; whoever waits for longer calls again.
        Failure {
            error: error.caused_by(absence),
            again: Retry::Never,
        }
    }
}

fn answered(call: &Call, picked: Picked, response: Response<Bytes>, span: &mut Span) -> Answer {
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        span.fail(status.to_string());
    }
    picked.finish(if status.is_server_error() {
        Outcome::Failure {
            retry_after: retry_after(response.headers()),
        }
    } else {
        Outcome::Success
    });
    Answer {
        again: again_after_answer(call, &response),
        response,
    }
}

/// What a failed exchange says about the endpoint.
fn outcome_of(error: &ieum_http::Error) -> Outcome {
    match error.kind() {
        ieum_http::ErrorKind::Invalid | ieum_http::ErrorKind::Forbidden => Outcome::Unknown,
        ieum_http::ErrorKind::TooLarge | ieum_http::ErrorKind::Decode => Outcome::Success,
        _ => Outcome::FAILURE,
    }
}
