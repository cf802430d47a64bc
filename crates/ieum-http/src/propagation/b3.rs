//! B3, Zipkin's headers: one `b3`, or several `X-B3-*` (github.com/openzipkin/b3-propagation).
//!
//! A trace id of 64 bits is the lower half of one of 128. A decision that was left to us is taken as
//! yes, and so is debug. A context that is malformed counts as none.

use http::{HeaderMap, HeaderName, HeaderValue};
use ieum_base::trace::{SpanId, TraceContext, TraceId};

use super::Incoming;

/// The context, or only a decision about the trace that begins here.
pub(super) fn extract(headers: &HeaderMap) -> Incoming {
    // Most bring none, which one look at the names tells sooner than a search for each.
    if !headers.keys().any(is_b3) {
        return Incoming::Nothing;
    }
    let one = only(headers, &B3);
    one.map_or_else(|| several(headers), single).into()
}

/// What was found in the headers.
#[derive(Default)]
struct Found<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    decision: Option<bool>,
}

/// `{trace}-{span}[-{decision}[-{parent}]]`, or only the decision.
fn single(text: &str) -> Found<'_> {
    let mut parts = text.split('-');
    match (parts.next(), parts.next()) {
        (Some(decision), None) => Found {
            decision: decided(decision),
            ..Found::default()
        },
        (Some(trace_id), Some(span_id)) => {
            let (decision, parent, more) = (parts.next(), parts.next(), parts.next());
            let well_formed = more.is_none()
                && parent.is_none_or(|id| id.parse::<SpanId>().is_ok())
                && decision.is_none_or(|text| decided(text).is_some());
            if !well_formed {
                return Found::default();
            }
            Found {
                trace_id,
                span_id,
                decision: decision.and_then(decided),
            }
        }
        (None, _) => Found::default(),
    }
}

fn several(headers: &HeaderMap) -> Found<'_> {
    let is_debug = only(headers, &FLAGS) == Some("1");
    Found {
        trace_id: only(headers, &TRACE_ID).unwrap_or_default(),
        span_id: only(headers, &SPAN_ID).unwrap_or_default(),
        decision: is_debug
            .then_some(true)
            .or_else(|| decided(only(headers, &SAMPLED)?)),
    }
}

impl From<Found<'_>> for Incoming {
    fn from(found: Found<'_>) -> Self {
        let context = trace_id(found.trace_id).zip(found.span_id.parse::<SpanId>().ok());
        match (context, found.decision) {
            (Some((trace_id, span_id)), decision) => Self::Context(TraceContext {
                trace_id,
                span_id,
                sampled: decision.unwrap_or(true),
                random: false,
                state: None,
            }),
            (None, Some(false)) => Self::Denied,
            (None, _) => Self::Nothing,
        }
    }
}

fn trace_id(digits: &str) -> Option<TraceId> {
    match digits.len() {
        16 => format!("{:0>32}", digits).parse().ok(),
        _ => digits.parse().ok(),
    }
}

/// `1` and `d` (debug) are yes; `true` and `false` were written by early tracers.
fn decided(text: &str) -> Option<bool> {
    match text {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// Writes the context as one header.
pub(super) fn inject_single(headers: &mut HeaderMap, context: &TraceContext) {
    let text = format!(
        "{}-{}-{}",
        context.trace_id,
        context.span_id,
        digit(context.sampled)
    );
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(B3, value);
    }
}

/// Writes the context as several headers.
pub(super) fn inject_several(headers: &mut HeaderMap, context: &TraceContext) {
    let ids = [
        (TRACE_ID, HeaderValue::from_bytes(&context.trace_id.hex())),
        (SPAN_ID, HeaderValue::from_bytes(&context.span_id.hex())),
    ];
    for (name, value) in ids {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    let sampled = HeaderValue::from_static(digit(context.sampled));
    headers.insert(SAMPLED, sampled);
}

const fn digit(sampled: bool) -> &'static str {
    if sampled { "1" } else { "0" }
}

/// True for the headers of B3. What a caller sent names a parent that is none any more.
pub fn is_b3(name: &HeaderName) -> bool {
    *name == B3 || name.as_str().starts_with("x-b3-")
}

const B3: HeaderName = HeaderName::from_static("b3");
const TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
