//! Which request this is: the trace context and the request id in HTTP headers.
//!
//! By the letter of the W3C recommendation "Trace Context": exactly one well-formed `traceparent`
//! counts, anything else starts a new trace and drops `tracestate` with it; a `tracestate` that is
//! too long or malformed is dropped, and the trace goes on without it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use ieum_base::Clock;
use ieum_base::trace::TraceContext;

/// The header that carries the trace and the parent span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header that carries what vendors know about the trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The header that carries the id of a request, for people and their tickets.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most members of a `tracestate` (W3C, 3.3.1.1).
const MOST_STATE_MEMBERS: usize = 32;
/// The longest `tracestate` that is passed on; the recommendation asks for at least this.
const LONGEST_STATE: usize = 512;
/// The longest request id that is taken from outside.
const LONGEST_REQUEST_ID: usize = 128;

/// The trace context of an incoming message, or `None` if a new trace begins here.
pub fn extract(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (parents.next()?, parents.next());
    if second.is_some() {
        return None;
    }
    let mut context = TraceContext::parse(first.to_str().ok()?.trim())?;
    context.state = state(headers);
    Some(context)
}

/// Writes the context of an outgoing message, in place of any that is there.
pub fn inject(headers: &mut HeaderMap, context: &TraceContext) {
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

/// The request's id: the one it came with if that is harmless (1 to 128 characters of letters,
/// digits and `-_.:/+=@`), otherwise a new one.
pub fn request_id(headers: &HeaderMap, clock: &Clock) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_request_id(id.as_bytes()) => id.clone(),
        _ => HeaderValue::try_from(clock.new_id().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("none")),
    }
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=LONGEST_REQUEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b))
}

/// All `tracestate` headers joined in order, or `None` if they break the recommendation.
fn state(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut joined = String::new();
    let mut members = 0;
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?;
        for member in value.split(',').map(str::trim).filter(|m| !m.is_empty()) {
            let (key, text) = member.split_once('=')?;
            if !is_state_key(key) || !is_state_value(text) {
                return None;
            }
            members += 1;
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(member);
        }
    }
    let fits = members <= MOST_STATE_MEMBERS && joined.len() <= LONGEST_STATE;
    (fits && !joined.is_empty()).then(|| joined.into())
}

/// Lower-case letters, digits and `_-*/`, at most one `@`; at most 256 characters.
fn is_state_key(key: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    (1..=256).contains(&key.len())
        && key.bytes().all(legal)
        && key.bytes().filter(|&b| b == b'@').count() <= 1
        && !key.starts_with(['_', '-', '*', '/', '@'])
}

/// Printable ASCII without `,` and `=`; at most 256 characters.
fn is_state_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b',' && b != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("valid"));
        }
        headers
    }

    /// What a message with these headers passes on: `traceparent` and `tracestate`.
    fn passed_on(pairs: &[(&HeaderName, &str)]) -> Option<(String, Option<String>)> {
        let context = extract(&headers(pairs))?;
        let mut out = HeaderMap::new();
        inject(&mut out, &context);
        let text = |name| Some(out.get(name)?.to_str().expect("ASCII").to_owned());
        Some((text(TRACEPARENT)?, text(TRACESTATE)))
    }

    #[test]
    fn a_context_passes_through_unchanged() {
        let out = passed_on(&[(&TRACEPARENT, PARENT), (&TRACESTATE, "a=1,b@v=2")]);
        assert_eq!(out, Some((PARENT.into(), Some("a=1,b@v=2".into()))));
    }

    #[test]
    fn two_parents_or_a_malformed_one_begin_a_new_trace() {
        assert_eq!(
            passed_on(&[(&TRACEPARENT, PARENT), (&TRACEPARENT, PARENT)]),
            None
        );
        assert_eq!(passed_on(&[(&TRACEPARENT, "00-xyz")]), None);
        assert_eq!(passed_on(&[(&TRACESTATE, "a=1")]), None);
    }

    #[test]
    fn several_states_are_joined_in_order() {
        let out = passed_on(&[
            (&TRACEPARENT, PARENT),
            (&TRACESTATE, "a=1"),
            (&TRACESTATE, " b=2 ,, c=3"),
        ]);
        assert_eq!(out.and_then(|o| o.1).as_deref(), Some("a=1,b=2,c=3"));
    }

    #[test]
    fn a_bad_or_overlong_state_is_dropped_and_the_trace_goes_on() {
        let many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>();
        let long = format!("k={},l={},m=x", "v".repeat(256), "v".repeat(252));
        for state in ["novalue", "UPPER=1", "a=b=c", &many.join(","), &long] {
            let out = passed_on(&[(&TRACEPARENT, PARENT), (&TRACESTATE, state)]);
            assert_eq!(out, Some((PARENT.into(), None)), "{state}");
        }
    }

    #[test]
    fn a_harmless_request_id_is_kept_and_any_other_replaced() {
        let clock = Clock::system();
        let kept = |id: &str| request_id(&headers(&[(&X_REQUEST_ID, id)]), &clock) == id;
        assert!(kept("ticket-17/a"));
        assert!(!kept("a b"));
        assert!(!kept("<script>"));
        assert!(!kept(&"x".repeat(129)));
        assert!(!kept(""));
        assert_eq!(request_id(&HeaderMap::new(), &clock).len(), 36);
    }
}
