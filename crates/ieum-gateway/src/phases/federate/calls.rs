//! Calls of subgraphs for one operation: each with its upstream's balancer, breaker, budget and time.

use std::sync::atomic::{AtomicU32, Ordering};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use ieum_graphql::plan::OperationKind;
use ieum_graphql::transport::{self, FetchError, FetchErrorKind, Fetched, Subgraphs};
use ieum_http::ErrorKind;
use tokio::time::Instant;

use super::super::accept::Exchange;
use super::super::proxy::{self, Answered, Call};
use super::super::transform::Kept;
use crate::body::{RequestBody, Source};
use crate::errors::Code;
use crate::federation::{Federation, Subgraph};
use crate::table::{Rules, Table};

/// The subgraphs, as one request of a client may call them.
pub(super) struct Calls<'a> {
    pub(super) table: &'a Table,
    pub(super) exchange: &'a Exchange,
    pub(super) federation: &'a Federation,
    pub(super) rules: Rules,
    /// The headers that the client sent; a few of them go along.
    pub(super) headers: &'a HeaderMap,
    /// The host that the client asked.
    pub(super) host: Option<HeaderValue>,
    /// When the whole operation must be answered.
    pub(super) deadline: Instant,
    /// How often an upstream was asked.
    pub(super) tries: AtomicU32,
}

impl Subgraphs for Calls<'_> {
    async fn fetch(&self, call: transport::Call<'_>) -> Result<Fetched, FetchError> {
        let Some(place) = self.federation.subgraph(call.subgraph) else {
            return Err(FetchError::new(
                FetchErrorKind::Unreachable,
                "it is not known where the subgraph is",
            ));
        };
        let begun = Instant::now();
        // What comes too late is not begun: a write would have its effect, and nobody would know.
        if begun >= self.deadline {
            return Err(too_late());
        }
        let subgraph = &self.federation.subgraphs[place];
        let asked = tokio::time::timeout_at(self.deadline, self.ask(subgraph, call)).await;
        let outcome = asked.unwrap_or_else(|_| Err(too_late()));
        let metrics = &self.federation.metrics;
        metrics.fetched(place, outcome.is_ok(), begun.elapsed());
        outcome
    }
}

impl Calls<'_> {
    async fn ask(
        &self,
        subgraph: &Subgraph,
        operation: transport::Call<'_>,
    ) -> Result<Fetched, FetchError> {
        let reads = operation.kind == OperationKind::Query;
        let kept = Kept::for_subgraph(
            &subgraph.name,
            subgraph.target.clone(),
            self.headers,
            self.host.clone(),
            reads,
        );
        let body = RequestBody::from(operation.body.clone());
        let source = Source::Whole(operation.body);
        let upstream = &*subgraph.upstream;
        let request = kept.request(self.table, self.exchange, upstream, body);
        let call = Call {
            table: self.table,
            exchange: self.exchange,
            upstream,
            rules: Rules {
                timeout: self.deadline.saturating_duration_since(Instant::now()),
                ..self.rules
            },
        };
        match proxy::run(&call, request, Some(&kept), &source).await {
            Ok(answered) => {
                self.tries.fetch_add(answered.tries, Ordering::Relaxed);
                self.read(answered).await
            }
            Err(unanswered) => {
                self.tries.fetch_add(unanswered.tries, Ordering::Relaxed);
                Err(failed(unanswered.refusal.code))
            }
        }
    }

    async fn read(&self, answered: Answered) -> Result<Fetched, FetchError> {
        let Answered { response, held, .. } = answered;
        let status = response.status();
        if !is_graphql(status, response.headers()) {
            let message = format!("it answered with {}", status.as_u16());
            let kind = FetchErrorKind::Status(status.as_u16());
            return Err(FetchError::new(kind, message));
        }
        let most = usize::try_from(self.table.config.limits.part.0).unwrap_or(usize::MAX);
        let body = ieum_http::body::collect(response.into_body(), most).await;
        drop(held);
        let body = body.map_err(|error| match error.kind() {
            ErrorKind::TooLarge => {
                FetchError::new(FetchErrorKind::TooLarge, "its answer is too large")
            }
            _ => FetchError::new(FetchErrorKind::Unreachable, "its answer broke off"),
        })?;
        Ok(Fetched { body })
    }
}

/// True if an answer is one of GraphQL: by its media type, or because it is a success. An
/// `application/json` with another status may be anybody's, an intermediary's for example (GraphQL
/// over HTTP, 6.4.1).
fn is_graphql(status: StatusCode, headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = media_type.and_then(|text| text.split(';').next());
    let is_named = essence.is_some_and(|text| text.trim().eq_ignore_ascii_case(GRAPHQL));
    is_named || status.is_success()
}

/// Why a subgraph was not asked, or did not answer: without addresses, which are nobody's business
/// outside.
fn failed(code: Code) -> FetchError {
    let (kind, message) = match code {
        Code::Timeout => return too_late(),
        Code::NoInstance => (
            FetchErrorKind::Unreachable,
            "no instance of it is available",
        ),
        Code::BreakerOpen => (
            FetchErrorKind::Unreachable,
            "it failed too often and is left alone for a moment",
        ),
        Code::BulkheadFull => (
            FetchErrorKind::Unreachable,
            "too many requests to it are in flight",
        ),
        Code::Unreachable => (FetchErrorKind::Unreachable, "it cannot be reached"),
        _ => (FetchErrorKind::Unreachable, "it broke off"),
    };
    FetchError::new(kind, message)
}

fn too_late() -> FetchError {
    FetchError::new(FetchErrorKind::Timeout, "it did not answer in time")
}

const GRAPHQL: &str = "application/graphql-response+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, media_type: &'static str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(
            is_graphql(status, &headers),
            expected,
            "{status} {media_type}"
        );
    }

    #[test]
    fn an_error_of_somebody_between_is_no_answer_of_the_subgraph() {
        check(200, "application/json", true);
        check(
            400,
            "application/graphql-response+json; charset=utf-8",
            true,
        );
        check(502, "application/json", false);
        check(503, "text/html", false);
    }
}
