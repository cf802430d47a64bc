//! Which request this is: the trace context and the request id in HTTP headers.
//!
//! By the letter of the W3C recommendation "Trace Context": exactly one well-formed `traceparent`
//! counts, anything else starts a new trace and drops `tracestate` with it; a `tracestate` that is
//! malformed is dropped, one that is too long is shortened, and the trace goes on. A message without
//! any `traceparent` may bring B3, Zipkin's headers. W3C is written; B3 where it is asked for.

mod b3;
#[cfg(test)]
mod tests;
mod w3c;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use ieum_base::trace::{Propagators, SpanBuilder, TraceContext};
use ieum_base::{Clock, redact};

pub use b3::is_b3;
pub use w3c::{TRACEPARENT, TRACESTATE};

/// The header that carries the id of a request, for people and their tickets.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from outside.
const LONGEST_REQUEST_ID: usize = 128;

/// What a message says about its trace.
enum Incoming {
    /// It belongs to one.
    Context(TraceContext),
    /// It belongs to none, and the one that begins here is not to be recorded.
    Denied,
    /// Nothing that counts.
    Nothing,
}

impl Incoming {
    fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(TRACEPARENT) {
            w3c::extract(headers).map_or(Self::Nothing, Self::Context)
        } else {
            b3::extract(headers)
        }
    }
}

/// The trace context of an incoming message, or `None` if a new trace begins here.
pub fn extract(headers: &HeaderMap) -> Option<TraceContext> {
    match Incoming::of(headers) {
        Incoming::Context(context) => Some(context),
        Incoming::Denied | Incoming::Nothing => None,
    }
}

/// The span of an incoming message: below its caller's, or the first of a new trace, which is not
/// recorded if the caller says so.
pub fn below<'t>(span: SpanBuilder<'t>, headers: &HeaderMap) -> SpanBuilder<'t> {
    match Incoming::of(headers) {
        Incoming::Context(context) => span.parent(Some(context)),
        Incoming::Denied => span.parent(None).sampled(false),
        Incoming::Nothing => span.parent(None),
    }
}

/// Writes the context of an outgoing message as W3C, in place of any that is there.
pub fn inject(headers: &mut HeaderMap, context: &TraceContext) {
    w3c::inject(headers, context);
}

/// Writes the context of an outgoing message in these formats.
pub fn inject_as(headers: &mut HeaderMap, context: &TraceContext, formats: Propagators) {
    if formats.w3c {
        w3c::inject(headers, context);
    } else {
        // What came from a caller would name another parent.
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
    if formats.b3 {
        b3::inject_single(headers, context);
    }
    if formats.b3_multi {
        b3::inject_several(headers, context);
    }
}

/// The request's id: the one it came with if that is harmless (1 to 128 characters of letters,
/// digits and `-_.:/+=`, and nothing that looks like a secret), otherwise a new one.
pub fn request_id(headers: &HeaderMap, clock: &Clock) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_request_id(id.as_bytes()) => id.clone(),
        _ => HeaderValue::try_from(clock.new_id().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("none")),
    }
}

fn is_request_id(id: &[u8]) -> bool {
    let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b);
    (1..=LONGEST_REQUEST_ID).contains(&id.len())
        && id.iter().all(harmless)
        && std::str::from_utf8(id).is_ok_and(|id| matches!(redact::path(id), Cow::Borrowed(_)))
}
