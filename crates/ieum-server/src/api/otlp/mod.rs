//! The receiver of OTLP: `POST /v1/traces`, `/v1/metrics` and `/v1/logs`, and the same over gRPC.
//!
//! Spans are kept, for `ieum trace`. Metrics and log records are read, so that a malformed export is
//! noticed, and are not kept: the answer says so, in the field that the protocol has for remarks.

mod body;
mod grpc;
mod http;

use ieum_telemetry::otlp::Signal;
use ieum_telemetry::proto::{
    ExportResponse, LogsRequest, MetricsRequest, PartialSuccess, TracesRequest,
};
use prost::Message;
use serde::de::DeserializeOwned;

pub(super) use self::grpc::routes as grpc_routes;
pub(super) use self::http::routes;
use crate::traces::{Store, read_otlp};

/// Takes what others export.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// Where spans are kept.
    pub(super) store: Store,
    /// The largest body, in bytes, before and after it is decompressed.
    pub(super) max_body: usize,
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Receiver {
    /// Takes one export.
    ///
    /// # Errors
    /// Why the body is none.
    fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<ExportResponse, String> {
        match signal {
            Signal::Traces => {
                let (spans, rejected) = read_otlp(decode::<TracesRequest>(encoding, body)?);
                self.store.add(spans);
                let why = "spans with a malformed id or time were dropped";
                Ok(answer(rejected, if rejected > 0 { why } else { "" }))
            }
            Signal::Metrics => {
                let points = decode::<MetricsRequest>(encoding, body)?.points();
                Ok(answer(0, if points > 0 { NOT_KEPT } else { "" }))
            }
            Signal::Logs => {
                let records = decode::<LogsRequest>(encoding, body)?.records();
                Ok(answer(0, if records > 0 { NOT_KEPT } else { "" }))
            }
        }
    }
}

fn decode<M: Message + Default + DeserializeOwned>(
    encoding: Encoding,
    body: &[u8],
) -> Result<M, String> {
    match encoding {
        Encoding::Protobuf => M::decode(body).map_err(|error| format!("not OTLP: {error}")),
        // serde would read a list as the fields of a struct.
        Encoding::Json if body.trim_ascii_start().first() != Some(&b'{') => {
            Err("not OTLP: expected a JSON object".to_owned())
        }
        Encoding::Json => serde_json::from_slice(body).map_err(|error| {
            let why = error.to_string();
            format!("not OTLP: {}", ieum_base::redact::parser_message(&why))
        }),
    }
}

fn answer(rejected: usize, message: &str) -> ExportResponse {
    let partial_success = (!message.is_empty()).then(|| PartialSuccess {
        rejected: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: message.to_owned(),
    });
    ExportResponse { partial_success }
}

const NOT_KEPT: &str = "taken and not kept: ieum keeps traces only; export metrics and logs to a \
                        collector that stores them";
