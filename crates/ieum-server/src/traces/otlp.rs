//! OTLP/HTTP in its JSON encoding, as far as spans need it.
//!
//! The encoding is the protobuf JSON mapping with ids in hex (OpenTelemetry Protocol 1.x). 64-bit
//! numbers come as text or as numbers, enums as numbers or as names; both are read.

use std::borrow::Cow;
use std::sync::Arc;

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, SpanData, SpanKind};
use serde::Deserialize;
use serde_json::Value;

/// The body of `POST /v1/traces`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExportRequest {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeSpans {
    spans: Vec<OtlpSpan>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OtlpSpan {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    name: String,
    kind: Value,
    start_time_unix_nano: Value,
    end_time_unix_nano: Value,
    attributes: Vec<KeyValue>,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    code: Value,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Value>,
    double_value: Option<Value>,
    array_value: Option<Value>,
    kvlist_value: Option<Value>,
}

/// The spans of a request, and how many were malformed.
pub(crate) fn read(request: ExportRequest) -> (Vec<SpanData>, usize) {
    let mut spans = Vec::new();
    let mut rejected = 0;
    for resource in request.resource_spans {
        let service = service_name(&resource.resource);
        for span in resource.scope_spans.into_iter().flat_map(|s| s.spans) {
            match read_span(span, &service) {
                Some(span) => spans.push(span),
                None => rejected += 1,
            }
        }
    }
    (spans, rejected)
}

fn service_name(resource: &Resource) -> Arc<str> {
    let attribute = resource.attributes.iter().find(|a| a.key == "service.name");
    let name = attribute.and_then(|a| a.value.string_value.as_deref());
    name.unwrap_or("unknown_service").into()
}

fn read_span(span: OtlpSpan, service: &Arc<str>) -> Option<SpanData> {
    let start = nanos(&span.start_time_unix_nano)?;
    let end = nanos(&span.end_time_unix_nano)?;
    let parent = match span.parent_span_id.as_str() {
        "" | "0000000000000000" => None,
        id => Some(id.to_ascii_lowercase().parse().ok()?),
    };
    let failed = matches!(number(&span.status.code), Some(2))
        || span.status.code.as_str() == Some("STATUS_CODE_ERROR");
    let attributes = span.attributes.into_iter();
    Some(SpanData {
        trace_id: span.trace_id.to_ascii_lowercase().parse().ok()?,
        span_id: span.span_id.to_ascii_lowercase().parse().ok()?,
        parent,
        service: Arc::clone(service),
        name: Cow::Owned(span.name),
        kind: kind(&span.kind),
        start,
        end: end.max(start),
        attributes: attributes
            .map(|attribute| (Cow::Owned(attribute.key), value(attribute.value)))
            .collect(),
        error: failed.then_some(span.status.message),
    })
}

fn value(value: AnyValue) -> AttributeValue {
    if let Some(text) = value.string_value {
        return text.into();
    }
    if let Some(flag) = value.bool_value {
        return flag.into();
    }
    if let Some(whole) = value.int_value.as_ref().and_then(number) {
        return whole.into();
    }
    let other = value.double_value.or(value.array_value);
    let other = other.or(value.kvlist_value).unwrap_or(Value::Null);
    other.to_string().into()
}

fn kind(kind: &Value) -> SpanKind {
    match (number(kind), kind.as_str()) {
        (Some(2), _) | (_, Some("SPAN_KIND_SERVER")) => SpanKind::Server,
        (Some(3), _) | (_, Some("SPAN_KIND_CLIENT")) => SpanKind::Client,
        (Some(4), _) | (_, Some("SPAN_KIND_PRODUCER")) => SpanKind::Producer,
        (Some(5), _) | (_, Some("SPAN_KIND_CONSUMER")) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

/// A 64-bit number, which JSON carries as text or as a number.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn nanos(value: &Value) -> Option<Timestamp> {
    number(value).map(|nanos| Timestamp::from_micros(nanos / 1_000))
}

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
        let request: ExportRequest = serde_json::from_str(EXAMPLE).expect("valid");
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
