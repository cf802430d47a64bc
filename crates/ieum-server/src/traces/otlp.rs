//! Spans of the protocol as spans of ours.

use std::borrow::Cow;
use std::sync::Arc;

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, SpanData, SpanId, SpanKind, TraceId};
use ieum_telemetry::proto::{AnyValue, Span, TracesRequest, Value};

use super::short_name;

/// The spans of a request, and how many were malformed.
pub(crate) fn read(request: TracesRequest) -> (Vec<SpanData>, usize) {
    let mut spans = Vec::new();
    let mut rejected = 0;
    for resource in request.resource_spans {
        let name = resource.resource.as_ref();
        let name = name.and_then(|resource| resource.text("service.name"));
        let service: Arc<str> = short_name(name.unwrap_or("unknown_service")).into();
        for span in resource.scope_spans.into_iter().flat_map(|s| s.spans) {
            match read_span(span, &service) {
                Some(span) => spans.push(span),
                None => rejected += 1,
            }
        }
    }
    (spans, rejected)
}

fn read_span(span: Span, service: &Arc<str>) -> Option<SpanData> {
    let start = time(span.start_time_unix_nano)?;
    let end = time(span.end_time_unix_nano)?;
    let parent = match span.parent_span_id.as_slice() {
        [] | [0, 0, 0, 0, 0, 0, 0, 0] => None,
        id => Some(SpanId::from_bytes(id)?),
    };
    let status = span.status.filter(|status| status.code == FAILED);
    let attributes = span.attributes.into_iter();
    Some(SpanData {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        parent,
        service: Arc::clone(service),
        name: Cow::Owned(span.name),
        kind: match span.kind {
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        start,
        end: end.max(start),
        attributes: attributes
            .map(|attribute| (Cow::Owned(attribute.key), value(attribute.value)))
            .collect(),
        error: status.map(|status| status.message),
    })
}

/// Kinds of values that a span of ours does not have are shown as JSON.
fn value(value: Option<AnyValue>) -> AttributeValue {
    match value.and_then(|value| value.value) {
        Some(Value::Text(text)) => text.into(),
        Some(Value::Bool(truth)) => truth.into(),
        Some(Value::Int(number)) => number.into(),
        Some(Value::Double(number)) => number.to_string().into(),
        Some(other) => serde_json::to_string(&other).unwrap_or_default().into(),
        None => "null".into(),
    }
}

fn time(nanos: u64) -> Option<Timestamp> {
    let micros = i64::try_from(nanos / 1_000).ok()?;
    Some(Timestamp::from_micros(micros))
}

const FAILED: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the OpenTelemetry project (`examples/trace.json`), shortened, beside the
    /// spellings that other exporters use.
    const EXAMPLE: &str = r#"{"resourceSpans":[{
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
        "scopeSpans":[{"scope":{"name":"my.library"},"spans":[
          {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
           "parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
           "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
           "kind":2,"attributes":[{"key":"order.id","value":{"stringValue":"o-1"}},
             {"key":"count","value":{"intValue":"7"}},{"key":"ok","value":{"boolValue":true}},
             {"key":"ratio","value":{"doubleValue":0.5}}],
           "status":{"code":2,"message":"declined"}},
          {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175",
           "name":"root","startTimeUnixNano":1544712660000000000,
           "endTimeUnixNano":1544712661000000000,"kind":"SPAN_KIND_CLIENT"},
          {"traceId":"","spanId":"eee19b7ec3c1b175","name":"malformed"}]}]}]}"#;

    #[test]
    fn reads_the_example_of_the_specification() {
        let request: TracesRequest = serde_json::from_str(EXAMPLE).expect("valid");
        let (spans, rejected) = read(request);
        assert_eq!((spans.len(), rejected), (2, 1));
        let server = &spans[0];
        assert_eq!(&*server.service, "my.service");
        assert_eq!(server.kind, SpanKind::Server);
        assert_eq!(
            server.parent.map(|p| p.to_string()).as_deref(),
            Some("eee19b7ec3c1b173")
        );
        assert_eq!(server.end.since(server.start).as_secs(), 1);
        assert_eq!(server.error.as_deref(), Some("declined"));
        let attributes: Vec<_> = server.attributes.iter().map(|(_, value)| value).collect();
        let expected: [AttributeValue; 4] = ["o-1".into(), 7.into(), true.into(), "0.5".into()];
        assert_eq!(attributes, expected.iter().collect::<Vec<_>>());
        assert_eq!(spans[1].parent, None);
        assert_eq!(spans[1].kind, SpanKind::Client);
        assert_eq!(spans[0].trace_id, spans[1].trace_id);
    }
}
