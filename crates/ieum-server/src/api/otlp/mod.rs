//! The receiver of OTLP: `POST /v1/traces`, `/v1/metrics` and `/v1/logs`, and the same over gRPC.
//!
//! Spans are kept, and so are the log records of traces. Of metrics only those of circuit breakers are
//! looked at. What is read and not kept is said in the answer, in the field that the protocol has for
//! remarks.

mod body;
mod grpc;
mod http;

use ieum_telemetry::breakers;
use ieum_telemetry::otlp::Signal;
use ieum_telemetry::proto::{
    ExportResponse, LogsRequest, MetricsRequest, PartialSuccess, Resource, TracesRequest,
};
use prost::Message;
use serde::de::DeserializeOwned;

pub(super) use self::grpc::routes as grpc_routes;
pub(super) use self::http::routes;
use crate::live::Board;
use crate::traces::{Store, read_log, read_otlp, short_name};

/// Takes what others export.
#[derive(Clone)]
pub(super) struct Receiver {
    /// Where spans are kept.
    pub(super) store: Store,
    /// Where reported breakers are shown.
    pub(super) breakers: Board,
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
                let request = decode::<MetricsRequest>(encoding, body)?;
                let told = self.take_breakers(&request);
                let is_whole = told || request.points() == 0;
                Ok(answer(0, if is_whole { "" } else { METRICS_NOT_KEPT }))
            }
            Signal::Logs => {
                let request = decode::<LogsRequest>(encoding, body)?;
                let (records, changes) = (request.records(), self.take_changes(&request));
                let lines = self.store.log(read_log(request));
                let is_whole = lines + changes >= records;
                Ok(answer(0, if is_whole { "" } else { LOGS_NOT_KEPT }))
            }
        }
    }
}

impl Receiver {
    /// Takes the states of breakers that are among metrics; true if there was nothing else.
    fn take_breakers(&self, request: &MetricsRequest) -> bool {
        let mut is_all = true;
        for resource in &request.resource_metrics {
            let (owner, process) = who(resource.resource.as_ref());
            let states = breakers::read_gauges(&resource.scope_metrics);
            self.breakers.take_states(&owner, &process, states);
            let metrics = resource.scope_metrics.iter().flat_map(|s| &s.metrics);
            is_all &= metrics
                .into_iter()
                .all(|metric| breakers::is_gauge(&metric.name));
        }
        is_all
    }

    /// Takes the changes of breakers that are among log records; how many there were.
    fn take_changes(&self, request: &LogsRequest) -> usize {
        let mut count = 0;
        for resource in &request.resource_logs {
            let (owner, process) = who(resource.resource.as_ref());
            let records = resource.scope_logs.iter().flat_map(|s| &s.log_records);
            for change in records.filter_map(breakers::read_record) {
                self.breakers.take_change(&owner, &process, &change);
                count += 1;
            }
        }
        count
    }
}

/// The service that reports, and what tells its processes apart.
fn who(resource: Option<&Resource>) -> (String, String) {
    let text = |key| resource.and_then(|resource| resource.text(key));
    let owner = text("service.name").unwrap_or("unknown_service");
    let process = text("service.instance.id").map(|id| short_name(id).to_owned());
    let process = process.or_else(|| resource?.number("process.pid").map(|pid| pid.to_string()));
    (short_name(owner).to_owned(), process.unwrap_or_default())
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

const METRICS_NOT_KEPT: &str = "taken and not kept: of metrics ieum reads those of circuit breakers \
                                only; export the others to a collector that stores them";
const LOGS_NOT_KEPT: &str = "taken and not kept: of log records ieum keeps those of traces only; export \
                             the others to a collector that stores them";
