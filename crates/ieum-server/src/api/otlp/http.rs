//! OTLP over HTTP, in protobuf and JSON.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ieum_telemetry::otlp::Signal;
use ieum_telemetry::proto::ExportResponse;
use prost::Message;
use serde_json::{Value, json};

use super::body::{Broken, gunzip};
use super::{Encoding, Receiver};
use crate::api::extract::Json;
use crate::api::routes::{Operation, Routes};
use crate::errors::{self, ApiError, ErrorCode};

/// The routes of the receiver.
pub(in crate::api) fn routes(receiver: Receiver) -> Routes {
    let operation = |signal: Signal, id, summary| {
        Operation::post(signal.path(), id)
            .summary(summary)
            .body_of(MEDIA_TYPES, "OtlpRequest")
            .answers(200, "taken, with a remark if not whole", "OtlpResponse")
            .refuses(&[errors::MEDIA_TYPE])
    };
    Routes::new()
        .add(
            operation(Signal::Traces, "exportTraces", "Takes spans in OTLP/HTTP."),
            |receiver, headers, body| export(Signal::Traces, receiver, headers, body),
        )
        .add(
            operation(
                Signal::Metrics,
                "exportMetrics",
                "Takes metrics in OTLP/HTTP; those of circuit breakers are shown, no other is kept.",
            ),
            |receiver, headers, body| export(Signal::Metrics, receiver, headers, body),
        )
        .add(
            operation(
                Signal::Logs,
                "exportLogs",
                "Takes log records in OTLP/HTTP; those of traces are kept for a while.",
            ),
            |receiver, headers, body| export(Signal::Logs, receiver, headers, body),
        )
        .with_state(receiver)
}

type Body = Result<Bytes, BytesRejection>;

async fn export(
    signal: Signal,
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(encoding) = encoding(&headers) else {
        let detail = "OTLP is taken as application/x-protobuf or application/json";
        return ApiError::from(errors::MEDIA_TYPE.problem(detail)).into_response();
    };
    match take(signal, &receiver, encoding, &headers, body) {
        Ok(answer) => good(signal, encoding, &answer),
        Err((code, why)) => bad(encoding, code, why),
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let media_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match media_type
        .split(';')
        .next()?
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

type Refused = (&'static ErrorCode, String);

fn take(
    signal: Signal,
    receiver: &Receiver,
    encoding: Encoding,
    headers: &HeaderMap,
    body: Body,
) -> Result<ExportResponse, Refused> {
    let limit = receiver.max_body;
    let too_large = || {
        (
            errors::BODY_TOO_LARGE,
            format!("the limit is {limit} bytes"),
        )
    };
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => (errors::MALFORMED_BODY, "the body ended early".to_owned()),
    })?;
    let compression = headers.get(header::CONTENT_ENCODING);
    let compression = compression.map_or(&b"identity"[..], |value| value.as_bytes());
    let body: Cow<'_, [u8]> = match compression {
        b"identity" => Cow::Borrowed(&body),
        b"gzip" => Cow::Owned(gunzip(&body, limit).map_err(|broken| match broken {
            Broken::TooLarge => too_large(),
            Broken::NotGzip => (errors::MALFORMED_BODY, "the body is not gzip".to_owned()),
        })?),
        _ => {
            let detail = "bodies are taken as they are or with gzip";
            return Err((errors::MEDIA_TYPE, detail.to_owned()));
        }
    };
    let taken = receiver.take(signal, encoding, &body);
    taken.map_err(|why| (errors::MALFORMED_BODY, why))
}

fn good(signal: Signal, encoding: Encoding, answer: &ExportResponse) -> Response {
    match encoding {
        Encoding::Protobuf => protobuf(StatusCode::OK, answer.encode_to_vec()),
        Encoding::Json => Json(as_json(signal, answer)).into_response(),
    }
}

/// The name of the number depends on the signal.
fn as_json(signal: Signal, answer: &ExportResponse) -> Value {
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    match &answer.partial_success {
        None => json!({}),
        Some(partial) => json!({"partialSuccess": {
            rejected: partial.rejected.to_string(),
            "errorMessage": partial.error_message,
        }}),
    }
}

/// Problem details; to who speaks protobuf, the status message that the protocol asks for.
fn bad(encoding: Encoding, code: &'static ErrorCode, why: String) -> Response {
    match encoding {
        Encoding::Json => ApiError::from(code.problem(why)).into_response(),
        Encoding::Protobuf => {
            let status = StatusCode::from_u16(code.status).unwrap_or(StatusCode::BAD_REQUEST);
            let message = Status {
                code: INVALID_ARGUMENT,
                message: format!("{} {why}", code.code),
            };
            protobuf(status, message.encode_to_vec())
        }
    }
}

fn protobuf(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

const INVALID_ARGUMENT: i32 = 3;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const MEDIA_TYPES: &[&str] = &[JSON, PROTOBUF];

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ieum_base::Clock;
    use ieum_telemetry::proto::{ResourceSpans, ScopeSpans, Span, TracesRequest};

    use super::*;
    use crate::live::Board;
    use crate::traces::{Limits, LogLimits, Store};

    /// Posts protobuf with gzip; answers the status and what was kept.
    async fn posted(plain: &[u8]) -> (u16, usize) {
        let store = Store::new(Limits {
            traces: 10,
            bytes: 1 << 20,
            spans: 10,
            logs: LogLimits::default(),
        });
        let receiver = Receiver {
            store: store.clone(),
            breakers: Board::new(Clock::system(), None),
            max_body: 64 << 10,
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).expect("memory");
        let body = Bytes::from(encoder.finish().expect("memory"));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = export(Signal::Traces, State(receiver), headers, Ok(body)).await;
        assert_eq!(answer.headers()[header::CONTENT_TYPE], PROTOBUF);
        (answer.status().as_u16(), store.held().traces)
    }

    #[tokio::test]
    async fn compressed_spans_are_kept_and_a_bomb_is_refused() {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Span::default()
        };
        let request = TracesRequest {
            resource_spans: vec![ResourceSpans {
                resource: None,
                scope_spans: vec![ScopeSpans {
                    scope: None,
                    spans: vec![span],
                }],
            }],
        };
        assert_eq!(posted(&request.encode_to_vec()).await, (200, 1));
        assert_eq!(posted(&vec![0; 10 << 20]).await, (413, 0));
        assert_eq!(posted(b"garbage").await, (400, 0));
    }
}
