//! Transcode: HTTP with JSON outside, gRPC inside.
//!
//! What is left of the path after `strip-prefix` or `rewrite` finds the method; path, query and body
//! become its message. The call goes the way of every other: balancer, breaker, budget, bulkhead, a
//! span. One message that is answered is JSON; a stream of them is lines or events. A status other
//! than OK is problem details.

mod answer;
pub(crate) mod problem;
pub(crate) mod rpc;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use ieum_grpc::transcode::{Found, Match, TranscodeError, Transcoder};
use ieum_grpc::{Prefix, timeout};
use tokio::time::Instant;

use super::accept::Exchange;
use super::proxy::{self, Call};
use super::transform::Kept;
use super::{connect, forwarded, grpc, route};
use crate::body::{Bounds, RequestBody, ResponseBody, Source};
use crate::errors::{Code, Refusal};
use crate::table::{Route, Table};
use crate::transcoding::Transcoding;

use answer::Translation;

/// Answers a request by a call of gRPC. `path` is normalised.
pub(super) async fn answer(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    transcoding: &Transcoding,
    path: &str,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let transcoder = transcoding.live().ok_or_else(missing)?;
    let found = find(
        &transcoder,
        &exchange.method,
        &route.rewrite.apply(path, &route.pattern),
    )?;
    let binding = transcoder.binding(&found);
    let (rpc, reads) = (binding.rpc().to_owned(), binding.reads());
    let is_stream = binding.is_server_streaming();
    grpc::describe(&mut exchange.span, &rpc);
    let (head, incoming) = request.into_parts();
    check_kind(&head)?;
    let body = read(table, route, incoming).await?;
    let query = exchange.target.query();
    let message = transcoder.request(&found, query, &body);
    drop(body);
    let message = framed(&message.map_err(untranslatable)?, transcoding.most(table))?;
    let deadline = Instant::now() + route.rules.timeout;
    let kept = kept(
        table,
        exchange,
        &head,
        &rpc,
        reads,
        (!is_stream).then_some(route.rules.timeout),
    )?;
    let upstream = &*transcoding.upstream;
    let source = Source::Whole(message.clone());
    let request = kept.request(table, exchange, upstream, RequestBody::from(message));
    let call = Call {
        table,
        exchange,
        upstream,
        rules: route.rules,
    };
    let outcome = proxy::run(&call, request, Some(&kept), &source).await;
    let translation = Translation {
        upstream: Arc::clone(&upstream.name),
        transcoder,
        found,
        most: transcoding.most(table),
        accept: head.headers.get(http::header::ACCEPT).cloned(),
        silence: table.config.timeouts.idle.0,
        deadline,
    };
    match outcome {
        Ok(answered) => {
            exchange.tries = answered.tries;
            match is_stream {
                true => translation.stream(exchange, answered),
                false => translation.single(exchange, answered).await,
            }
        }
        Err(unanswered) => {
            exchange.tries = unanswered.tries;
            Err(unanswered.refusal)
        }
    }
}

fn missing() -> Box<Refusal> {
    let detail = "the service of this route has not said yet what it looks like";
    Refusal::new(Code::NoDescriptors, detail).retry_after(Duration::from_secs(1))
}

fn find(transcoder: &Transcoder, method: &Method, path: &str) -> Result<Match, Box<Refusal>> {
    let found = match transcoder.find(method, path) {
        Found::Call(found) => found,
        Found::OtherMethods(methods) => {
            let detail = "no method of the services answers this method of HTTP here";
            let refusal = Refusal::new(Code::MethodNotAllowed, detail);
            return Err(refusal.allow(&route::names(methods)));
        }
        Found::Nothing => {
            let detail = "no method of the services has this path";
            return Err(Refusal::new(Code::NoRoute, detail));
        }
    };
    if transcoder.binding(&found).is_client_streaming() {
        let detail = "this method takes a stream of messages; call it by gRPC";
        return Err(Refusal::new(Code::StreamedRequest, detail));
    }
    Ok(found)
}

/// A body is JSON, and as it is: what has to be decompressed could become any number of bytes.
fn check_kind(head: &Parts) -> Result<(), Box<Refusal>> {
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !encodings.all(is_plain) {
        let detail = "a body with a `Content-Encoding` is not decoded here";
        let refusal = Refusal::new(Code::UnsupportedEncoding, detail);
        return Err(refusal.header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    match head.headers.get(CONTENT_TYPE) {
        Some(kind) if !is_json(kind) => {
            let detail = "the body is to be `application/json`";
            Err(Refusal::new(Code::UnsupportedMediaType, detail))
        }
        _ => Ok(()),
    }
}

fn is_json(kind: &HeaderValue) -> bool {
    let text = kind.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
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

fn untranslatable(error: TranscodeError) -> Box<Refusal> {
    let mut refusal = Refusal::new(Code::Untranslatable, error.detail().to_owned());
    if let Some(field) = error.field() {
        refusal = refusal.member("field", field);
    }
    if let Some(place) = error.place() {
        refusal = refusal.member("line", place.line);
        refusal = refusal.member("column", place.column);
    }
    refusal
}

/// The message as it goes over the wire.
fn framed(message: &[u8], most: u64) -> Result<Bytes, Box<Refusal>> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if u64::from(length) > most {
        return Err(grpc::message_too_large(most));
    }
    let prefix = Prefix {
        is_compressed: false,
        length,
    };
    Ok([&prefix.write(), message].concat().into())
}

/// The request inside. A stream may last as long as it likes, so that it has no `grpc-timeout`.
fn kept(
    table: &Table,
    exchange: &Exchange,
    head: &Parts,
    rpc: &str,
    reads: bool,
    within: Option<Duration>,
) -> Result<Kept, Box<Refusal>> {
    let target = PathAndQuery::try_from(rpc);
    let target = target.map_err(|_| Refusal::new(Code::Internal, "a method's name is no path"))?;
    let host = forwarded::host(&head.uri, &head.headers);
    let mut headers = head.headers.clone();
    metadata(&mut headers);
    rpc::describe(&mut headers);
    if let Some(within) = within {
        headers.insert(timeout::GRPC_TIMEOUT, timeout::format(within));
    }
    Ok(Kept::for_rpc(
        table,
        &exchange.peer,
        target,
        headers,
        host,
        reads,
    ))
}

/// Leaves of a client's headers what is metadata: nothing of its body, and nothing that gRPC itself
/// says. What ends in `-bin` would be bytes to gRPC.
fn metadata(headers: &mut HeaderMap) {
    let is_dropped = |name: &str| {
        name.starts_with("grpc-")
            || name.ends_with("-bin")
            || name.starts_with("content-")
            || name.starts_with("accept")
            || name.starts_with("if-")
            || matches!(name, "range" | "te" | "trailer" | "expect")
    };
    let dropped: Vec<_> = headers
        .keys()
        .filter(|name| is_dropped(name.as_str()))
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
}
