//! A status of gRPC as an answer, and as the end of one.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use ieum_grpc::{Code, GRPC_STATUS, message};

/// An answer of trailers only: a status, and a sentence for people.
pub(super) fn refuse(code: Code, why: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = trailers(code, why);
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// How an answer ends that had begun.
pub(super) fn trailers(code: Code, why: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, code.field());
    trailers.insert(message::GRPC_MESSAGE, message::encode(why));
    trailers
}

/// True for gRPC and for gRPC with a named encoding of its messages, not for gRPC-Web.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = media_type.and_then(|value| value.strip_prefix(MEDIA_TYPE.as_bytes()));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

const MEDIA_TYPE: &str = "application/grpc";
