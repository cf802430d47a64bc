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
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use ieum_grpc::transcode::{Binding, Found, Match, TranscodeError, Transcoder};
use ieum_grpc::{Prefix, timeout};
use tokio::time::Instant;

use super::accept::Exchange;
use super::proxy::{self, Answered, Call};
use super::transform::{self, Kept};
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
    let inside = route.rewrite.apply(path, &route.pattern);
    let found = find(&transcoder, &exchange.method, &inside)?;
    let binding = transcoder.binding(&found);
    grpc::describe(&mut exchange.span, binding.rpc());
    let (head, incoming) = request.into_parts();
    check_kind(&head, incoming.is_end_stream())?;
    let body = read(table, route, incoming).await?;
    let message = transcoder.request(&found, exchange.target.query(), &body);
    drop(body);
    let message = message.map_err(|error| untranslatable(&error))?;
    let message = framed(&message, transcoding.most(table))?;
    let deadline = Instant::now() + route.rules.timeout;
    let kept = kept(table, exchange, route, &head, binding)?;
    let answered = call(table, exchange, route, transcoding, &kept, message).await?;
    let is_stream = binding.is_server_streaming();
    let translation = Translation {
        upstream: Arc::clone(&transcoding.upstream.name),
        transcoder,
        found,
        most: transcoding.most(table),
        accept: head.headers.get(ACCEPT).cloned(),
        silence: table.config.timeouts.idle.0,
        deadline,
    };
    match is_stream {
        true => translation.stream(exchange, answered),
        false => translation.single(exchange, answered).await,
    }
}

/// Sends a message the way of every call.
async fn call(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    transcoding: &Transcoding,
    kept: &Kept,
    message: Bytes,
) -> Result<Answered, Box<Refusal>> {
    let upstream = &*transcoding.upstream;
    let body = RequestBody::from(message.clone());
    let source = Source::Whole(message);
    let request = kept.request(table, exchange, upstream, body);
    let call = Call {
        table,
        exchange,
        upstream,
        rules: route.rules,
    };
    let outcome = proxy::run(&call, request, Some(kept), &source).await;
    exchange.tries = match &outcome {
        Ok(answered) => answered.tries,
        Err(unanswered) => unanswered.tries,
    };
    outcome.map_err(|unanswered| unanswered.refusal)
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

/// A body is JSON, and as it is: what has to be decompressed could become any number of bytes. Where
/// there is none, its kind means nothing (many clients send one with each GET).
fn check_kind(head: &Parts, is_empty: bool) -> Result<(), Box<Refusal>> {
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !encodings.all(is_plain) {
        let detail = "a body with a `Content-Encoding` is not decoded here";
        let refusal = Refusal::new(Code::UnsupportedEncoding, detail);
        return Err(refusal.header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    match head.headers.get(CONTENT_TYPE) {
        Some(kind) if !is_empty && !is_json(kind) => {
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

fn untranslatable(error: &TranscodeError) -> Box<Refusal> {
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
    route: &Route,
    head: &Parts,
    binding: &Binding,
) -> Result<Kept, Box<Refusal>> {
    let target = PathAndQuery::try_from(binding.rpc());
    let target = target.map_err(|_| Refusal::new(Code::Internal, "a method's name is no path"))?;
    let host = forwarded::host(&head.uri, &head.headers);
    let headers = metadata(&head.headers);
    let reads = binding.reads();
    let kept = Kept::for_rpc(table, &exchange.peer, target, headers, host, reads);
    // Said last: a client's `Connection` cannot name it away.
    let mut ours = HeaderMap::new();
    rpc::describe(&mut ours);
    if !binding.is_server_streaming() {
        let within = timeout::format(route.rules.timeout);
        ours.insert(timeout::GRPC_TIMEOUT, within);
    }
    Ok(kept.with(&ours))
}

/// What of a client's headers is metadata: nothing of its body or the answer's, and nothing that gRPC
/// itself says. What ends in `-bin` would be bytes to gRPC.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let is_dropped = |name: &str| {
        name.starts_with("grpc-")
            || name.ends_with("-bin")
            || name.starts_with("content-")
            || name.starts_with("if-")
            || matches!(
                name,
                "accept" | "accept-encoding" | "accept-charset" | "range" | "trailer"
            )
    };
    let mut headers = headers.clone();
    transform::drop_where(&mut headers, |name| is_dropped(name.as_str()));
    headers
}
