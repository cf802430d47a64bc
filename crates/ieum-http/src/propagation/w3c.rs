//! W3C Trace Context: `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use ieum_base::trace::TraceContext;

/// The header that carries the trace and the parent span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header that carries what vendors know about the trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The context, if there is exactly one well-formed parent.
pub(super) fn extract(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (parents.next()?, parents.next());
    if second.is_some() {
        return None;
    }
    let context = TraceContext::parse(first.to_str().ok()?.trim_matches([' ', '\t']))?;
    let mut states = headers.get_all(TRACESTATE).iter().peekable();
    if states.peek().is_none() {
        return Some(context);
    }
    // What is no ASCII breaks the grammar as an entry without `=` does.
    Some(context.with_state(states.map(|state| state.to_str().unwrap_or("?"))))
}

/// Writes the context, in place of any that is there.
pub(super) fn inject(headers: &mut HeaderMap, context: &TraceContext) {
    let Ok(parent) = HeaderValue::from_bytes(&context.traceparent_bytes()) else {
        return;
    };
    headers.insert(TRACEPARENT, parent);
    headers.remove(TRACESTATE);
    let state = context.state.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(state)) = state {
        headers.insert(TRACESTATE, state);
    }
}
