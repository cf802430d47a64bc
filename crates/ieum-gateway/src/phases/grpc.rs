//! gRPC as it is: from a client to a service, both ways at once, trailers and all.
//!
//! The phases before are those of every request. Here the caller's deadline is read, the body's
//! messages are followed without keeping them, and the call takes the way of every other (balancer,
//! breaker, budget, bulkhead), over HTTP/2. How it went is said by `grpc-status`, which comes last.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use ieum_base::trace::Span;
use ieum_discovery::Outcome;
use ieum_grpc::timeout::{self, GRPC_TIMEOUT};
use ieum_grpc::{Code as GrpcCode, Meter};
use tokio::time::Instant;

use super::accept::Exchange;
use super::forwarded;
use super::proxy::{self, Answered, Call};
use super::transform::{self, Kept};
use crate::body::{Bounds, GrpcAnswer, GrpcCall, Held, ResponseBody, Source};
use crate::errors::{Code, Refusal};
use crate::table::{Route, Rules, Table};
use crate::upstream::Upstream;

/// A call that may pass.
pub(super) struct Asked<'t> {
    pub(super) route: &'t Route,
    pub(super) upstream: &'t Upstream,
    /// The largest message, in bytes.
    pub(super) most: u64,
    /// The normalised path.
    pub(super) path: Box<str>,
    pub(super) request: Request<Incoming>,
}

/// True for a request of gRPC, whose sender reads refusals in gRPC. On HTTP/1 nobody does.
pub(super) fn is_spoken_by(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2 && has_media_type(request.headers())
}

/// `application/grpc`, with or without a suffix or parameters; not the `application/grpc-web` of
/// browsers.
pub(super) fn has_media_type(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let rest = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Forwards a call.
pub(super) async fn answer(
    table: &Table,
    exchange: &mut Exchange,
    asked: Asked<'_>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let Asked {
        route,
        upstream,
        most,
        path,
        request,
    } = asked;
    check(&request)?;
    exchange.deadline = deadline(exchange, request.headers())?;
    let target = transform::target(
        &exchange.target,
        &route.rewrite.apply(&path, &route.pattern),
    )?;
    describe(&mut exchange.span, target.path());
    let (head, incoming) = request.into_parts();
    let host = forwarded::host(&head.uri, &head.headers);
    let mut headers = head.headers;
    headers.remove(GRPC_TIMEOUT);
    let is_repeatable = route.rules.idempotent;
    let kept = Kept::for_rpc(table, &exchange.peer, target, headers, host, is_repeatable);
    let (source, body) = Source::of_messages(incoming, bounds(table), most);
    let request = kept.request(table, exchange, upstream, body);
    // Not shortened by the caller's deadline: a try that fails for want of time tells against an
    // endpoint only if the route's own time was too short for it.
    let rules = route.rules;
    let call = Call {
        table,
        exchange,
        upstream,
        rules,
    };
    match proxy::run(&call, request, Some(&kept), &source).await {
        Ok(answered) => {
            exchange.tries = answered.tries;
            begin(table, exchange, answered, (upstream, rules, source, most))
        }
        Err(unanswered) => {
            exchange.tries = unanswered.tries;
            Err(unanswered.refusal)
        }
    }
}

fn check(request: &Request<Incoming>) -> Result<(), Box<Refusal>> {
    if !has_media_type(request.headers()) {
        let detail = "this is called by gRPC (`application/grpc`)";
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    if request.version() != Version::HTTP_2 {
        let detail = "gRPC needs HTTP/2, from the first byte (prior knowledge)";
        return Err(Refusal::new(Code::GrpcNeedsHttp2, detail));
    }
    if request.method() != Method::POST {
        let refusal = Refusal::new(Code::MethodNotAllowed, "every call of gRPC is a POST");
        return Err(refusal.allow("POST"));
    }
    Ok(())
}

/// When the caller's patience ends, if it says so.
fn deadline(exchange: &Exchange, headers: &HeaderMap) -> Result<Option<Instant>, Box<Refusal>> {
    let Some(field) = headers.get(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let within =
        timeout::parse(field).map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))?;
    // What is beyond the clock's end has none.
    Ok(exchange.started.checked_add(within))
}

/// A body of messages ends when its caller wants; what bounds it is each message and the silence.
fn bounds(table: &Table) -> Bounds {
    Bounds {
        most: u64::MAX,
        room: usize::try_from(table.config.limits.retained_body.0).unwrap_or(usize::MAX),
        silence: table.config.timeouts.idle.0,
        whole: UNBOUNDED,
    }
}

/// Names the call in a span, as OpenTelemetry's conventions for RPC do.
pub(super) fn describe(span: &mut Span, path: &str) {
    if !span.is_recorded() {
        return;
    }
    span.set("rpc.system", "grpc");
    if let Some((service, method)) = path.trim_start_matches('/').split_once('/') {
        span.set("rpc.service", service.to_owned());
        span.set("rpc.method", method.to_owned());
    }
}

/// The answer's head, with a body that goes on until the trailers.
fn begin(
    table: &Table,
    exchange: &mut Exchange,
    answered: Answered,
    (upstream, rules, source, most): (&Upstream, Rules, Source, u64),
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let Answered {
        mut response,
        held,
        span,
        ..
    } = answered;
    let in_head = code_in_head(&response);
    if in_head.is_none() && !has_media_type(response.headers()) {
        return Err(not_grpc(upstream, held, span, response.status()));
    }
    transform::drop_hop_by_hop(response.headers_mut());
    exchange.grpc = Some(in_head.unwrap_or(GrpcCode::Cancelled));
    source.answered();
    let call = GrpcCall {
        upstream: upstream.name.clone(),
        in_head,
        source,
        deadline: exchange.deadline,
        silence: table.config.timeouts.idle.0,
        settled_after: rules.timeout,
        meter: Meter::new(most),
        most,
        span,
        held,
    };
    Ok(response.map(|body| ResponseBody::grpc(GrpcAnswer::new(body, call))))
}

/// Somebody who does not speak gRPC answered.
fn not_grpc(
    upstream: &Upstream,
    mut held: Held,
    span: Option<Box<Span>>,
    status: StatusCode,
) -> Box<Refusal> {
    let code = GrpcCode::of_http(status);
    held.picked.record(match status.is_client_error() {
        true => Outcome::Success,
        false => Outcome::FAILURE,
    });
    if let Some(mut span) = span {
        end_span(&mut span, code);
    }
    let detail = format!("`{}` answered HTTP {status} and not gRPC", upstream.name);
    Refusal::new(Code::BadGateway, detail).status(code)
}

/// The code of an answer of trailers only.
pub(crate) fn code_in_head<B>(response: &Response<B>) -> Option<GrpcCode> {
    GrpcCode::of_fields(response.headers())
}

/// What a code says about the health of who gave it. A deadline that the caller chose says nothing:
/// anybody could open a breaker with it.
pub(crate) fn outcome(code: GrpcCode, has_callers_deadline: bool) -> Outcome {
    match code {
        GrpcCode::DeadlineExceeded if has_callers_deadline => Outcome::Unknown,
        GrpcCode::Cancelled => Outcome::Unknown,
        code if code.is_failure() => Outcome::FAILURE,
        _ => Outcome::Success,
    }
}

/// Says in a span how its call ended.
pub(crate) fn end_span(span: &mut Span, code: GrpcCode) {
    span.set("rpc.grpc.status_code", i64::from(code.number()));
    if code.is_failure() {
        span.fail(code.name());
    }
}

/// The caller has no more time.
pub(crate) fn deadline_passed() -> Box<Refusal> {
    Refusal::new(Code::DeadlinePassed, "the caller's deadline has passed")
}

/// The client sends too much at once.
pub(crate) fn message_too_large(most: u64) -> Box<Refusal> {
    let detail = format!("a message is larger than {}", ieum_base::ByteSize(most));
    Refusal::new(Code::MessageTooLarge, detail)
}

/// A year: no stream gets that old.
const UNBOUNDED: Duration = Duration::from_secs(365 * 24 * 3600);
