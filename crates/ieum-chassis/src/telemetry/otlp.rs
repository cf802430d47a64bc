//! Spans as OTLP/HTTP in JSON (opentelemetry-proto 1, "JSON Protobuf Encoding").
//!
//! Ids are hex, 64-bit numbers are strings, enumerations are numbers: that is how the encoding wants
//! it, so any OpenTelemetry collector can stand in the platform's place.

use std::sync::Arc;

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, SpanData, SpanId, SpanKind, TraceId};
use serde::{Serialize, Serializer};

/// The body of `POST /v1/traces`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportRequest<'a> {
    resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [KeyValue<'a>; 1],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    name: &'a str,
    kind: u8,
    #[serde(serialize_with = "nanos")]
    start_time_unix_nano: Timestamp,
    #[serde(serialize_with = "nanos")]
    end_time_unix_nano: Timestamp,
    attributes: Vec<KeyValue<'a>>,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "is_unset")]
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: Value<'a>,
}

#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "intValue", serialize_with = "text")]
    Int(i64),
}

impl<'a> ExportRequest<'a> {
    /// The spans by the service that recorded them, each in its order.
    pub(super) fn new(spans: &'a [SpanData]) -> Self {
        let mut by_service: Vec<(&Arc<str>, Vec<Span<'a>>)> = Vec::new();
        for data in spans {
            let known = by_service
                .iter()
                .position(|(name, _)| **name == data.service);
            let at = known.unwrap_or_else(|| {
                by_service.push((&data.service, Vec::new()));
                by_service.len() - 1
            });
            by_service[at].1.push(Span::new(data));
        }
        let resource_spans = by_service
            .into_iter()
            .map(|(service, spans)| ResourceSpans {
                resource: Resource {
                    attributes: [KeyValue {
                        key: "service.name",
                        value: Value::Text(service),
                    }],
                },
                scope_spans: [ScopeSpans {
                    scope: Scope { name: "ieum" },
                    spans,
                }],
            });
        Self {
            resource_spans: resource_spans.collect(),
        }
    }
}

impl<'a> Span<'a> {
    fn new(data: &'a SpanData) -> Self {
        let attributes = data.attributes.iter().map(|(key, value)| KeyValue {
            key,
            value: match value {
                AttributeValue::Int(number) => Value::Int(*number),
                AttributeValue::Bool(truth) => Value::Bool(*truth),
                AttributeValue::Text(text) => Value::Text(text),
            },
        });
        Self {
            trace_id: data.trace_id,
            span_id: data.span_id,
            parent_span_id: data.parent,
            name: &data.name,
            kind: match data.kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
                SpanKind::Producer => 4,
                SpanKind::Consumer => 5,
            },
            start_time_unix_nano: data.start,
            end_time_unix_nano: data.end,
            attributes: attributes.collect(),
            status: Status {
                code: if data.error.is_some() { 2 } else { 0 },
                message: data.error.as_deref(),
            },
        }
    }
}

fn nanos<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&(i128::from(time.as_micros()) * 1_000))
}

fn text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
const fn is_unset(code: &u8) -> bool {
    *code == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_span_is_written_as_the_encoding_wants_it() {
        let span = SpanData {
            trace_id: "0af7651916cd43dd8448eb211c80319c".parse().expect("an id"),
            span_id: "b7ad6b7169203331".parse().expect("an id"),
            parent: None,
            service: "orders".into(),
            name: "process-order".into(),
            kind: SpanKind::Server,
            start: Timestamp::from_micros(1_700_000_000_000_001),
            end: Timestamp::from_micros(1_700_000_000_000_002),
            attributes: vec![
                ("order.id".into(), "o-1".into()),
                ("http.response.status_code".into(), 500.into()),
                ("retried".into(), true.into()),
            ],
            error: Some("declined".into()),
        };
        let child = SpanData {
            parent: Some(span.span_id),
            error: None,
            service: "payments".into(),
            attributes: Vec::new(),
            ..span.clone()
        };
        let written = serde_json::to_value(ExportRequest::new(&[span, child]));
        let written = written.expect("serialises");
        assert_eq!(
            written["resourceSpans"][0],
            json!({
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]},
                "scopeSpans": [{"scope": {"name": "ieum"}, "spans": [{
                    "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "spanId": "b7ad6b7169203331",
                    "name": "process-order",
                    "kind": 2,
                    "startTimeUnixNano": "1700000000000001000",
                    "endTimeUnixNano": "1700000000000002000",
                    "attributes": [
                        {"key": "order.id", "value": {"stringValue": "o-1"}},
                        {"key": "http.response.status_code", "value": {"intValue": "500"}},
                        {"key": "retried", "value": {"boolValue": true}},
                    ],
                    "status": {"code": 2, "message": "declined"},
                }]}],
            })
        );
        let child = &written["resourceSpans"][1]["scopeSpans"][0]["spans"][0];
        assert_eq!(child["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(child["status"], json!({}));
    }
}
