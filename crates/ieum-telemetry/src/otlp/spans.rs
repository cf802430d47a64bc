//! Spans as the protocol has them.

use std::sync::Arc;

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, SpanData, SpanKind};

use super::resource::Facts;
use super::worker::Encode;
use crate::proto::{KeyValue, ResourceSpans, ScopeSpans, Span, Status, TracesRequest, Value};

/// Makes requests of spans.
pub(super) struct Spans(pub(super) Arc<Facts>);

impl Encode for Spans {
    type Item = SpanData;
    type Message = TracesRequest;

    /// By the service that recorded them, each in its order.
    fn encode(&self, spans: &[SpanData]) -> TracesRequest {
        let mut services: Vec<(&Arc<str>, Vec<Span>)> = Vec::new();
        for data in spans {
            let known = services.iter().position(|(name, _)| **name == data.service);
            let at = known.unwrap_or_else(|| {
                services.push((&data.service, Vec::new()));
                services.len() - 1
            });
            services[at].1.push(span(data));
        }
        let services = services.into_iter().map(|(service, spans)| ResourceSpans {
            resource: Some(self.0.resource(service)),
            scope_spans: vec![ScopeSpans {
                scope: Some(Facts::scope()),
                spans,
            }],
        });
        TracesRequest {
            resource_spans: services.collect(),
        }
    }
}

fn span(data: &SpanData) -> Span {
    let attributes = data.attributes.iter().map(|(key, value)| {
        let value = match value {
            AttributeValue::Int(number) => Value::Int(*number),
            AttributeValue::Bool(truth) => Value::Bool(*truth),
            AttributeValue::Text(text) => Value::Text(text.clone().into_owned()),
        };
        KeyValue::new(&**key, value)
    });
    Span {
        trace_id: data.trace_id.bytes().to_vec(),
        span_id: data.span_id.bytes().to_vec(),
        parent_span_id: data.parent.map_or_else(Vec::new, |id| id.bytes().to_vec()),
        name: data.name.clone().into_owned(),
        kind: match data.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        },
        start_time_unix_nano: nanos(data.start),
        end_time_unix_nano: nanos(data.end),
        attributes: attributes.collect(),
        status: data.error.as_ref().map(|why| Status {
            code: 2,
            message: why.clone(),
        }),
    }
}

/// Nanoseconds since 1970; what was before is 1970.
pub(crate) fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_micros()).map_or(0, |micros| micros.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_span_is_written_as_the_json_encoding_wants_it() {
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
        let spans = Spans(Arc::new(Facts::default()));
        let written = serde_json::to_value(spans.encode(&[span, child])).expect("JSON");
        let [orders, payments] = written["resourceSpans"].as_array().expect("two").as_slice()
        else {
            panic!("two services: {written}");
        };
        assert_eq!(
            orders["resource"]["attributes"][0],
            json!({"key": "service.name", "value": {"stringValue": "orders"}})
        );
        assert_eq!(
            orders["scopeSpans"][0]["spans"],
            json!([{
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
            }])
        );
        let child = &payments["scopeSpans"][0]["spans"][0];
        assert_eq!(child["parentSpanId"], "b7ad6b7169203331");
    }
}
