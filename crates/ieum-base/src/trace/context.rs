//! The W3C trace context: which request this work belongs to.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state;
use crate::Rng;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The 16-byte id of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

/// The 8-byte id of a span; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

/// A position in a trace: the trace, the span that is the parent of what comes next, and whether
/// the trace is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that started this work.
    pub span_id: SpanId,
    /// False if nobody records this trace; ids still travel.
    pub sampled: bool,
    /// True if whoever began the trace drew at least the last 7 bytes of its id at random (level 2
    /// of the recommendation), so that others may sample by the id.
    pub random: bool,
    /// The vendors' `tracestate`, passed on as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// The beginning of a new trace.
    pub fn root(rng: &Rng, sampled: bool) -> Self {
        Self {
            trace_id: TraceId::random(rng),
            span_id: SpanId::random(rng),
            sampled,
            random: true,
            state: None,
        }
    }

    /// The same trace with a new span.
    #[must_use]
    pub fn child(&self, rng: &Rng) -> Self {
        Self {
            span_id: SpanId::random(rng),
            ..self.clone()
        }
    }

    /// Reads a `traceparent` header. `None` if it is malformed, by the letter of the
    /// recommendation: a receiver then starts a new trace.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let bytes = traceparent.as_bytes();
        let version = hex_byte(bytes.get(0..2)?)?;
        let longer_is_allowed = version > 0;
        let length_fits = bytes.len() == 55 || (longer_is_allowed && bytes.get(55) == Some(&b'-'));
        let dashes = [2, 35, 52].iter().all(|&at| bytes.get(at) == Some(&b'-'));
        if version == 0xff || !length_fits || !dashes {
            return None;
        }
        let trace_id = lower_hex(bytes.get(3..35)?)?;
        let span_id = u64::try_from(lower_hex(bytes.get(36..52)?)?).ok()?;
        let flags = hex_byte(bytes.get(53..55)?)?;
        if trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags & SAMPLED != 0,
            random: flags & RANDOM != 0,
            state: None,
        })
    }

    /// Reads a context that was stored or sent as two texts. A `tracestate` that breaks the
    /// recommendation is dropped; the trace goes on without it.
    pub fn parse_with_state(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut context = Self::parse(traceparent)?;
        context.state = state::parse(tracestate);
        Some(context)
    }

    /// The same context with these `tracestate` fields, joined in their order; see
    /// [`parse_with_state`](Self::parse_with_state).
    #[must_use]
    pub fn with_state<'a>(mut self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        self.state = state::parse(fields);
        self
    }

    /// The `traceparent` header for what is called from here, as ASCII and without an allocation:
    /// it is written with each request.
    pub fn traceparent_bytes(&self) -> [u8; 55] {
        let mut header = [b'-'; 55];
        header[..2].copy_from_slice(b"00");
        header[3..35].copy_from_slice(&self.trace_id.hex());
        header[36..52].copy_from_slice(&self.span_id.hex());
        // Only the flags that are defined: all others must be zero.
        let sampled = if self.sampled { SAMPLED } else { 0 };
        let random = if self.random { RANDOM } else { 0 };
        header[53] = b'0';
        header[54] = b'0' + (sampled | random);
        header
    }

    /// The `traceparent` header for what is called from here.
    pub fn to_traceparent(&self) -> String {
        String::from_utf8_lossy(&self.traceparent_bytes()).into_owned()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ascii(f, &self.traceparent_bytes())
    }
}

impl TraceId {
    /// A new id.
    pub fn random(rng: &Rng) -> Self {
        Self((u128::from(rng.bits()) << 64 | u128::from(rng.bits())).max(1))
    }
}

impl SpanId {
    /// A new id.
    pub fn random(rng: &Rng) -> Self {
        Self(rng.bits().max(1))
    }
}

/// The context of the running task, if it works for a traced request.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `work` under `context`, so that [`current`] answers it and outgoing calls carry it.
pub async fn scope<F: Future>(context: TraceContext, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// Runs `work`, which does not wait, under `context`, so that [`current`] answers it.
pub fn sync_scope<T>(context: TraceContext, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(context, work)
}

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;
/// The flag of a trace whose id was drawn at random.
const RANDOM: u8 = 2;

fn write_ascii(f: &mut fmt::Formatter<'_>, ascii: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(ascii).map_err(|_| fmt::Error)?)
}

/// `N` lower-case hex digits, with leading zeros.
fn to_hex<const N: usize>(mut value: u128) -> [u8; N] {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
    text
}

fn lower_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    lower_hex(digits).and_then(|value| u8::try_from(value).ok())
}

macro_rules! hex_id {
    ($name:ident, $inner:ty, $digits:literal) => {
        impl $name {
            /// Its lower-case hex digits, as ASCII.
            pub fn hex(self) -> [u8; size_of::<$inner>() * 2] {
                to_hex(self.0.into())
            }

            /// Its bytes, the highest first.
            pub const fn bytes(self) -> [u8; size_of::<$inner>()] {
                self.0.to_be_bytes()
            }

            /// The id with these bytes; `None` if their number is another or all are zero.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let value = <$inner>::from_be_bytes(bytes.try_into().ok()?);
                (value != 0).then_some(Self(value))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_ascii(f, &self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let wrong = concat!("expected ", $digits, " lower-case hex digits, not all zero");
                let digits: usize = $digits.parse().map_err(|_| wrong)?;
                let value = (text.len() == digits)
                    .then(|| lower_hex(text.as_bytes()))
                    .flatten();
                match value.and_then(|v| <$inner>::try_from(v).ok()) {
                    Some(value) if value != 0 => Ok(Self(value)),
                    _ => Err(wrong),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(TraceId, u128, "32");
hex_id!(SpanId, u64, "16");

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_and_writes_the_example_of_the_recommendation() {
        let context = TraceContext::parse(EXAMPLE).expect("valid");
        assert!(context.sampled);
        assert_eq!(context.to_traceparent(), EXAMPLE);
        let child = context.child(&Rng::seeded(1));
        assert_eq!(child.trace_id, context.trace_id);
        assert_ne!(child.span_id, context.span_id);
    }

    #[test]
    fn refuses_what_the_recommendation_refuses() {
        let wrong = [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_flags_that_are_defined_are_passed_on() {
        for (came, goes) in [
            ("00", "00"),
            ("01", "01"),
            ("02", "02"),
            ("03", "03"),
            ("ff", "03"),
        ] {
            let text = format!("{}{came}", &EXAMPLE[..53]);
            let context = TraceContext::parse(&text).expect("valid");
            assert_eq!(&context.to_traceparent()[53..], goes, "{came}");
        }
        assert!(TraceContext::root(&Rng::seeded(1), true).random);
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert!(TraceContext::parse(later).is_some());
    }

    #[tokio::test]
    async fn the_context_belongs_to_the_task() {
        assert_eq!(current(), None);
        let context = TraceContext::root(&Rng::seeded(3), true);
        let seen = scope(context.clone(), async { current() }).await;
        assert_eq!(seen, Some(context));
    }
}
