//! OTLP over gRPC, on the same port: HTTP/2 without TLS is told by its first bytes.
//!
//! One unary call per signal is all there is to serve: a frame of five bytes and a message in, the
//! same out, the status in the trailers ("gRPC over HTTP2").

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::post;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use ieum_telemetry::otlp::Signal;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use prost::Message;

use super::body::{Broken, gunzip};
use super::{Encoding, Receiver};

/// The services of the protocol.
pub(in crate::api) fn routes(receiver: Receiver) -> Router {
    let call = |signal| move |receiver, request| call(signal, receiver, request);
    Router::new()
        .route(Signal::Traces.method(), post(call(Signal::Traces)))
        .route(Signal::Metrics.method(), post(call(Signal::Metrics)))
        .route(Signal::Logs.method(), post(call(Signal::Logs)))
        .with_state(receiver)
}

/// A failed call: the code and why.
struct Failed(u8, &'static str, String);

async fn call(signal: Signal, State(receiver): State<Receiver>, request: Request) -> Response {
    match answer(signal, &receiver, request).await {
        Ok(message) => good(&message),
        Err(Failed(code, what, why)) => bad(code, &format!("{what}{why}")),
    }
}

async fn answer(signal: Signal, receiver: &Receiver, request: Request) -> Result<Vec<u8>, Failed> {
    let (head, body) = request.into_parts();
    let media_type = head.headers.get(header::CONTENT_TYPE);
    let is_grpc = media_type.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes()));
    if !is_grpc {
        return Err(Failed(INVALID_ARGUMENT, "not gRPC", String::new()));
    }
    let too_large = |limit| {
        Failed(
            RESOURCE_EXHAUSTED,
            "too large: the limit in bytes is ",
            limit,
        )
    };
    let limit = receiver.max_body;
    let body = Limited::new(body, limit.saturating_add(FRAME))
        .collect()
        .await;
    let body = body.map_err(|_| too_large(limit.to_string()))?.to_bytes();
    let message = unframe(&body, &head.headers, limit).map_err(|error| match error {
        Some(Broken::TooLarge) => too_large(limit.to_string()),
        Some(Broken::NotGzip) => Failed(INVALID_ARGUMENT, "the message is not gzip", String::new()),
        None => Failed(INVALID_ARGUMENT, "not one message", String::new()),
    })?;
    let taken = receiver.take(signal, Encoding::Protobuf, &message);
    taken
        .map(|answer| answer.encode_to_vec())
        .map_err(|why| Failed(INVALID_ARGUMENT, "", why))
}

/// The one message of a unary call.
fn unframe(body: &Bytes, headers: &HeaderMap, limit: usize) -> Result<Bytes, Option<Broken>> {
    let (head, message) = body.split_at_checked(FRAME).ok_or(None)?;
    let [compressed, length @ ..] = head else {
        return Err(None);
    };
    let length = length
        .iter()
        .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    if length != message.len() {
        return Err(None);
    }
    let is_gzip = headers
        .get("grpc-encoding")
        .is_some_and(|value| value == "gzip");
    match compressed {
        0 => Ok(body.slice(FRAME..)),
        1 if is_gzip => gunzip(message, limit).map(Bytes::from).map_err(Some),
        _ => Err(None),
    }
}

fn good(message: &[u8]) -> Response {
    let mut frame = BytesMut::with_capacity(message.len() + FRAME);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    response(Body::new(body))
}

/// The status among the headers, as a call without a message has it.
fn bad(code: u8, why: &str) -> Response {
    let mut response = response(Body::empty());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    let why = utf8_percent_encode(why, CONTROLS).to_string();
    if let Ok(why) = HeaderValue::try_from(why) {
        headers.insert("grpc-message", why);
    }
    response
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

const GRPC: &str = "application/grpc";
const FRAME: usize = 5;
const INVALID_ARGUMENT: u8 = 3;
const RESOURCE_EXHAUSTED: u8 = 8;
