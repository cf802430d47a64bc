//! Respond: from an upstream's answer, or a refusal, to the client's; and the end of the exchange.

use std::fmt;
use std::sync::Arc;

use http::{Response, StatusCode};
use ieum_base::redact;
use ieum_grpc::Code as GrpcCode;
use ieum_http::pool::PooledBody;
use ieum_http::propagation::X_REQUEST_ID;

use super::accept::Exchange;
use super::proxy::Answered;
use super::{grpc, limit, transform};
use crate::access_log::Line;
use crate::body::{RequestBody, ResponseBody};
use crate::errors::{Code, Refusal};
use crate::table::{FixedAnswer, Table};
use crate::telemetry::MethodLabel;

/// What is told when an answer has been sent: metrics, the access log, the span.
pub(crate) struct Observation {
    /// The bytes of the body so far.
    pub(crate) bytes: u64,
    /// True if the upstream did not finish its answer.
    pub(crate) broke_off: bool,
    table: Arc<Table>,
    exchange: Box<Exchange>,
    status: StatusCode,
    /// Which endpoint answered, if the access log asks.
    endpoint: Option<Box<str>>,
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
    if exchange.speaks_grpc {
        exchange.grpc = Some(refusal.grpc_code());
        return refusal.into_grpc_response();
    }
    refusal.into_response(exchange.target.path())
}

/// Adds what every answer has, and arranges for its end to be told.
pub(super) fn finish(
    table: Arc<Table>,
    mut exchange: Box<Exchange>,
    mut answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    let headers = answer.headers_mut();
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
    if let (Some(index), Some(allowed)) = (exchange.route, exchange.allowed) {
        limit::tell(&table.routes[index], allowed, headers);
    }
    let status = answer.status();
    let span = &mut exchange.span;
    if span.is_recorded() {
        span.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.to_string());
        }
    }
    let is_logged = exchange.worker.log.is_some();
    let endpoint = answer.body().endpoint().filter(|_| is_logged);
    let observation = Observation {
        bytes: 0,
        broke_off: false,
        table,
        endpoint: endpoint.map(Into::into),
        exchange,
        status,
    };
    answer.body_mut().observe(observation);
    answer
}

impl Observation {
    /// A call of gRPC has ended, by what the upstream said or for a reason of ours.
    pub(crate) fn ended(&mut self, code: GrpcCode, why: Option<Code>) {
        self.exchange.grpc = Some(code);
        if let Some(why) = why {
            self.exchange.code = Some(why);
            self.exchange.worker.telemetry.refused(why);
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let exchange = &mut *self.exchange;
        let took = exchange.started.elapsed();
        let route = exchange.route.map(|index| &self.table.routes[index]);
        let metrics = route.map_or(&self.table.unrouted, |route| &route.metrics);
        let method = MethodLabel::from(&exchange.method);
        // What gRPC says in trailers, HTTP would have said in its status.
        let status = exchange.grpc.map_or(self.status, GrpcCode::http_status);
        metrics.answered(method, status, took);
        if let Some(code) = exchange.grpc {
            metrics.answered_by_grpc(code);
            grpc::end_span(&mut exchange.span, code);
        }
        if self.broke_off {
            exchange.span.fail("the answer broke off");
        }
        if let Some(buffer) = &exchange.worker.log {
            buffer.line(&Line {
                at: exchange.worker.clock.now(),
                client: exchange.client,
                method: method.as_str(),
                path: &redact::path(exchange.target.path()),
                status,
                grpc: exchange.grpc.map(GrpcCode::name),
                took,
                bytes: self.bytes,
                route: route.map_or("", |route| &route.name),
                endpoint: self.endpoint.as_deref(),
                tries: exchange.tries,
                code: exchange.code.map(|code| code.row().code),
                request_id: exchange.request_id.to_str().unwrap_or_default(),
                trace_id: exchange.span.context().trace_id,
            });
        }
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = MethodLabel::from(&self.exchange.method).as_str();
        write!(f, "Observation({method} {})", self.status)
    }
}
