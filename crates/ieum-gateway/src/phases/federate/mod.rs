//! Federate: one operation over several subgraphs, one answer.
//!
//! The body is read whole, the operation is planned, and the plan executed: each fetch is a call of its
//! own with its upstream's balancer, breaker, budget and time. Planning is work for the processor, and
//! a client decides how much of it: it is done on threads that are not those of the data path, a few
//! at a time. What GraphQL calls an error is answered as GraphQL; what the gateway refuses, as problem
//! details.

mod calls;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use ieum_graphql::execute::Answer;
use ieum_graphql::http::{self as wire, Media};
use ieum_graphql::plan::OperationKind;
use ieum_graphql::{Prepared, Rejection};
use tokio::time::Instant;

use super::accept::Exchange;
use super::{connect, forwarded};
use crate::body::{Bounds, ResponseBody, Source};
use crate::errors::{Code, Refusal};
use crate::federation::{Federation, Live};
use crate::table::{Route, Table};
use crate::telemetry::{OperationOutcome, OperationType};

use calls::Calls;

/// Answers a GraphQL request.
pub(super) async fn answer(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    federation: &Federation,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let (head, incoming) = request.into_parts();
    check_encoding(&head)?;
    let live = federation.live().ok_or_else(missing)?;
    let body = read(table, route, incoming).await?;
    let media = match wire::negotiate(&head.headers) {
        Ok(media) => media,
        Err(rejection) => return Ok(refused(federation, exchange, Media::Json, &rejection)),
    };
    let asked = Asked {
        table,
        route,
        federation,
        live: &live,
        head: &head,
        deadline: Instant::now() + route.rules.timeout,
    };
    Ok(match asked.operate(exchange, &body).await? {
        Ok(answer) => wire::answered(media, answer).map(ResponseBody::from),
        Err(rejection) => refused(federation, exchange, media, &rejection),
    })
}

/// The answer to what is not executed.
fn refused(
    federation: &Federation,
    exchange: &mut Exchange,
    media: Media,
    rejection: &Rejection,
) -> Response<ResponseBody> {
    let (kind, outcome) = (OperationType::Unknown, OperationOutcome::Refused);
    federation.metrics.operated(kind, outcome);
    let reason = rejection.reason().code();
    exchange.span.set("graphql.refusal", reason);
    wire::rejected(media, rejection).map(ResponseBody::from)
}

/// One request to a graph.
struct Asked<'a> {
    table: &'a Table,
    route: &'a Route,
    federation: &'a Federation,
    live: &'a Live,
    head: &'a Parts,
    /// When the whole operation must be answered.
    deadline: Instant,
}

impl Asked<'_> {
    /// Reads, plans and executes the operation.
    async fn operate(
        &self,
        exchange: &mut Exchange,
        body: &Bytes,
    ) -> Result<Result<Answer, Rejection>, Box<Refusal>> {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = self.head;
        let request = match wire::read(method, uri, headers, body) {
            Ok(request) => Arc::new(request),
            Err(rejection) => return Ok(Err(rejection)),
        };
        let prepared = match self.prepare(&request).await? {
            Ok(prepared) => prepared,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if let Err(rejection) = wire::admit(method, &prepared) {
            return Ok(Err(rejection));
        }
        let kind = describe(exchange, &prepared);
        let engine = &self.live.engine;
        let variables = match engine.variables(&prepared, &request) {
            Ok(variables) => variables,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let calls = Calls {
            table: self.table,
            exchange,
            federation: self.federation,
            rules: self.route.rules,
            headers,
            host: forwarded::host(uri, headers),
            deadline: self.deadline,
            tries: AtomicU32::new(0),
        };
        let answer = engine.execute(&prepared, &variables, &calls).await;
        exchange.tries = calls.tries.into_inner();
        let outcome = match answer.errors {
            0 => OperationOutcome::Complete,
            _ => OperationOutcome::Errors,
        };
        self.federation.metrics.operated(kind, outcome);
        Ok(Ok(answer))
    }

    /// The plan of the operation: the one that is remembered, or one that is made on a thread for that.
    async fn prepare(
        &self,
        request: &Arc<ieum_graphql::Request>,
    ) -> Result<Result<Arc<Prepared>, Rejection>, Box<Refusal>> {
        let metrics = &self.federation.metrics;
        if let Some(prepared) = self.live.engine.cached(request) {
            metrics.hit();
            return Ok(Ok(prepared));
        }
        let place = self.federation.plannings.acquire().await;
        let place = place.map_err(|full| {
            let detail = format!("too many new operations at once: {full}");
            Refusal::new(Code::BulkheadFull, detail).retry_after(Duration::from_secs(1))
        })?;
        let begun = Instant::now();
        let (engine, request) = (self.live.engine.clone(), Arc::clone(request));
        let planned = tokio::task::spawn_blocking(move || {
            // Held by the work itself: it goes on when the client has left.
            let _place = place;
            engine.prepare(&request)
        });
        let planned = planned.await;
        metrics.planned(begun.elapsed());
        planned.map_err(|_| Refusal::new(Code::Internal, "planning the operation failed"))
    }
}

/// Says in the span what is asked. The name is the client's to choose: a long one is left out.
fn describe(exchange: &mut Exchange, prepared: &Prepared) -> OperationType {
    let kind = match prepared.kind() {
        OperationKind::Query => OperationType::Query,
        OperationKind::Mutation => OperationType::Mutation,
    };
    let span = &mut exchange.span;
    if span.is_recorded() {
        span.set("graphql.operation.type", kind.as_str());
        if let Some(name) = prepared.name().filter(|name| name.len() <= LONGEST_NAME) {
            span.set("graphql.operation.name", name.to_owned());
        }
    }
    kind
}

/// A body that would have to be decompressed could become any number of bytes.
fn check_encoding(head: &Parts) -> Result<(), Box<Refusal>> {
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if encodings.all(is_plain) {
        return Ok(());
    }
    let detail = "a body with a `Content-Encoding` is not decoded here";
    let refusal = Refusal::new(Code::UnsupportedEncoding, detail);
    Err(refusal.header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

fn missing() -> Box<Refusal> {
    let detail = "the graph of this route was not composed yet";
    Refusal::new(Code::NoSupergraph, detail).retry_after(Duration::from_secs(1))
}

/// The whole body, within the bounds of the route.
async fn read(table: &Table, route: &Route, incoming: Incoming) -> Result<Bytes, Box<Refusal>> {
    let bounds = Bounds {
        most: route.max_body,
        // It is whole before anything is sent.
        room: 0,
        silence: table.config.timeouts.idle.0,
        whole: route.upload,
    };
    let (_, body) = Source::new(incoming, bounds);
    let whole = body.collect().await;
    whole.map_err(|why| connect::clients_fault(why).refusal)
}

/// Longer names of operations are not written into spans.
const LONGEST_NAME: usize = 64;
