//! Respond: from an upstream's answer, or a refusal, to the client's; and the end of the exchange.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, Response, StatusCode};
use ieum_base::redact;
use ieum_base::trace::Span;
use ieum_http::pool::PooledBody;
use ieum_http::propagation::X_REQUEST_ID;
use tokio::time::Instant;

use super::accept::Exchange;
use super::proxy::Answered;
use super::{limit, transform};
use crate::access_log::Line;
use crate::body::{RequestBody, ResponseBody};
use crate::errors::{Code, Refusal};
use crate::table::{FixedAnswer, Table};
use crate::telemetry::MethodLabel;
use crate::worker::Worker;

/// What is told when an answer has been sent: metrics, the access log, the span.
pub(crate) struct Observation {
    /// The bytes of the body so far.
    pub(crate) bytes: u64,
    /// True if the upstream did not finish its answer.
    pub(crate) broke_off: bool,
    table: Arc<Table>,
    worker: Arc<Worker>,
    route: Option<usize>,
    method: MethodLabel,
    status: StatusCode,
    started: Instant,
    span: Span,
    log: Option<Box<Logged>>,
}

/// What only the access log needs.
struct Logged {
    target: PathAndQuery,
    client: IpAddr,
    endpoint: Option<String>,
    tries: u32,
    code: Option<Code>,
    request_id: HeaderValue,
}

/// An upstream's answer on its way to the client.
pub(super) fn upstream(table: &Table, answered: Answered) -> Response<ResponseBody> {
    let Answered {
        mut response, held, ..
    } = answered;
    transform::drop_hop_by_hop(response.headers_mut());
    let silence = table.config.timeouts.idle.0;
    response.map(|body| ResponseBody::upstream(body, silence, held))
}

/// The head of an answer whose body is none.
pub(super) fn without_body(
    mut response: Response<PooledBody<RequestBody>>,
) -> Response<ResponseBody> {
    transform::drop_hop_by_hop(response.headers_mut());
    response.map(|_| ResponseBody::from(bytes::Bytes::new()))
}

/// A fallback's fixed answer.
pub(super) fn fixed(answer: &FixedAnswer) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response
}

/// A refusal as problem details.
pub(super) fn refuse(exchange: &mut Exchange, refusal: Refusal) -> Response<ResponseBody> {
    exchange.code = Some(refusal.code);
    exchange.worker.telemetry.refused(refusal.code);
    let row = refusal.code.row();
    if row.status.is_server_error() {
        exchange.span.fail(row.title);
    }
    exchange.span.set("ieum.code", row.code);
    refusal.into_response(exchange.target.path())
}

/// Adds what every answer has, and arranges for its end to be told.
pub(super) fn finish(
    table: Arc<Table>,
    exchange: Exchange,
    mut answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    let headers = answer.headers_mut();
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
    if let (Some(index), Some(allowed)) = (exchange.route, exchange.allowed) {
        limit::tell(&table.routes[index], allowed, headers);
    }
    let status = answer.status();
    let mut span = exchange.span;
    if span.is_recorded() {
        span.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.to_string());
        }
    }
    let log = exchange.worker.log.as_ref().map(|_| {
        Box::new(Logged {
            endpoint: answer.body().endpoint().map(str::to_owned),
            target: exchange.target,
            client: exchange.client,
            tries: exchange.tries,
            code: exchange.code,
            request_id: exchange.request_id,
        })
    });
    let observation = Observation {
        bytes: 0,
        broke_off: false,
        table,
        worker: exchange.worker,
        route: exchange.route,
        method: (&exchange.method).into(),
        status,
        started: exchange.started,
        span,
        log,
    };
    answer.map(|body| body.observed(observation))
}

impl Drop for Observation {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let route = self.route.map(|index| &self.table.routes[index]);
        let metrics = route.map_or(&self.table.unrouted, |route| &route.metrics);
        metrics.answered(self.method, self.status, took);
        self.worker.telemetry.in_flight.dec();
        if self.broke_off {
            self.span.fail("the answer broke off");
        }
        if let (Some(log), Some(buffer)) = (&self.log, &self.worker.log) {
            buffer.line(&Line {
                at: self.worker.clock.now(),
                client: log.client,
                method: self.method.as_str(),
                path: &redact::path(log.target.path()),
                status: self.status,
                took,
                bytes: self.bytes,
                route: route.map_or("", |route| &route.name),
                endpoint: log.endpoint.as_deref(),
                tries: log.tries,
                code: log.code.map(|code| code.row().code),
                request_id: log.request_id.to_str().unwrap_or_default(),
                trace_id: self.span.context().trace_id,
            });
        }
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observation({} {})", self.method.as_str(), self.status)
    }
}
