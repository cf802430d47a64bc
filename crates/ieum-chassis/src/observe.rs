//! Around every request: its span, its figures, its line in the log, and no way out but a problem.
//!
//! It runs inside the router, because only there the route's template is known: names of spans and
//! labels of metrics come from it and never from the path.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use ieum_base::trace::{self, Span, SpanKind, Tracer};
use ieum_base::{Clock, redact};
use ieum_http::{Problem, body, problem, propagation};
use tokio::time::Instant;

use crate::Identity;
use crate::problems::{internal, malformed};
use crate::telemetry::names::{RequestLabels, RequestMetrics, method_label};

/// What the middleware needs.
pub(crate) struct Observer {
    pub(crate) service: Arc<str>,
    pub(crate) tracer: Tracer,
    pub(crate) clock: Clock,
    pub(crate) metrics: RequestMetrics,
}

pub(crate) async fn observe(
    State(observer): State<Arc<Observer>>,
    mut request: Request,
    next: Next,
) -> Response {
    #[cfg(feature = "grpc")]
    if crate::grpc::is_call(request.headers()) {
        return crate::grpc::observe(observer, request, next).await;
    }
    let began = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let path = redact::path(request.uri().path()).into_owned();
    let id = propagation::request_id(request.headers(), &observer.clock);
    request
        .headers_mut()
        .insert(propagation::X_REQUEST_ID, id.clone());

    let mut span = observer.begin(&request, method, &route);
    let context = span.context().clone();
    let handled = trace::scope(context.clone(), next.run(request));
    let (mut response, problem) = match AssertUnwindSafe(handled).catch_unwind().await {
        Ok(response) => problem_of(as_problem(response).await).await,
        Err(_) => {
            tracing::error!(trace_id = %context.trace_id, route, "a handler panicked");
            span.fail("the handler panicked");
            (internal().into_response(), None)
        }
    };
    response.headers_mut().insert(propagation::X_REQUEST_ID, id);

    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.to_string());
    }
    drop(span);
    let labels = RequestLabels {
        method,
        path: route,
        status_code: status.as_u16(),
        grpc_status: None,
    };
    trace::sync_scope(context, || {
        if let Some(problem) = &problem {
            observer.refused(problem);
        }
        observer.tell(&labels, &path, began.elapsed());
    });
    response
}

impl Observer {
    fn begin(&self, request: &Request, method: &'static str, route: &str) -> Span {
        let span = self.tracer.span(format!("{method} {route}"));
        let span = span.kind(SpanKind::Server);
        let mut span = propagation::below(span, request.headers()).start();
        if span.is_recorded() {
            span.set("http.request.method", method);
            span.set("http.route", route.to_owned());
            span.set("url.path", redact::path(request.uri().path()).into_owned());
            name_user(&mut span, request.headers());
        }
        span
    }

    /// Says in the log of the trace why a request was refused; the line of access has the status only.
    fn refused(&self, problem: &Problem) {
        tracing::info!(
            service = &*self.service,
            status = problem.status,
            code = problem.code.as_deref(),
            "refused: {}: {}",
            problem.title,
            problem.detail.as_deref().unwrap_or("without a detail"),
        );
    }

    pub(crate) fn tell(&self, labels: &RequestLabels, path: &str, took: Duration) {
        self.metrics.observe(labels, took.as_secs_f64() * 1_000.0);
        tracing::info!(
            target: "access",
            service = &*self.service,
            method = labels.method,
            path,
            status = labels.status_code,
            grpc_status = labels.grpc_status,
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
}

/// Says in a span on whose behalf the request is made: by the id, which is no name.
pub(crate) fn name_user(span: &mut Span, headers: &HeaderMap) {
    if let Some(Identity { user_id, .. }) = Identity::from_headers(headers) {
        span.set("enduser.id", user_id);
    }
}

/// An error in plain text, as axum's extractors answer it, becomes a problem of the same status.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || !is_plain_text(response.headers().get(CONTENT_TYPE)) {
        return response;
    }
    let (head, text) = response.into_parts();
    let text = body::collect(text, LONGEST_REASON)
        .await
        .unwrap_or_default();
    let why = String::from_utf8_lossy(&text).into_owned();
    let problem = if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(why = &*redact::parser_message(&why), "an extractor failed");
        internal()
    } else {
        malformed(status, &why)
    };
    let mut response = problem.into_response::<Body>();
    for (name, value) in &head.headers {
        response.headers_mut().entry(name).or_insert(value.clone());
    }
    // The old length is that of the text.
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    debug_assert!(problem::is_problem(response.headers()));
    response
}

/// The problem in an answer. Where a stored answer is repeated, as by a participant's barrier, it is in
/// the body only.
async fn problem_of(response: Response) -> (Response, Option<Problem>) {
    if let Some(problem) = response.extensions().get::<Problem>().cloned() {
        return (response, Some(problem));
    }
    let length = response.body().size_hint().exact();
    let is_short = length.is_some_and(|length| length <= LONGEST_PROBLEM as u64);
    if !is_short || !problem::is_problem(response.headers()) {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    // A body whose length is known is there already.
    let body = body::collect(body, LONGEST_PROBLEM)
        .await
        .unwrap_or_default();
    let answer = http::Response::from_parts(head, body);
    let problem = Problem::from_response(&answer);
    (answer.map(Body::from), Some(problem))
}

fn is_plain_text(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

/// The template of requests that no route matched.
pub(crate) const UNMATCHED: &str = "{unmatched}";
/// The longest text of an extractor that is passed on, in bytes.
const LONGEST_REASON: usize = 4096;
/// The longest problem that is read for the log, in bytes.
const LONGEST_PROBLEM: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_found_in_an_answer_that_is_repeated_and_the_answer_stays_whole() {
        let declined = Problem::new(StatusCode::CONFLICT).detail("the card was declined");
        let made = declined.clone().into_response::<Body>();
        let (made, found) = problem_of(made).await;
        assert_eq!(found.as_ref(), Some(&declined));
        let (mut head, body) = made.into_parts();
        head.extensions.clear();
        let repeated = Response::from_parts(head, body);
        let (repeated, found) = problem_of(repeated).await;
        assert_eq!(found.as_ref(), Some(&declined));
        let body = body::collect(repeated.into_body(), LONGEST_PROBLEM).await;
        let body = body.expect("whole");
        assert_eq!(
            serde_json::from_slice::<Problem>(&body).ok(),
            Some(declined)
        );
        let good = Response::new(Body::from("{}"));
        assert_eq!(problem_of(good).await.1, None);
    }
}
