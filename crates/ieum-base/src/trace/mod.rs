//! Traces: the context that travels with a request, and the spans recorded under it.
//!
//! The context follows the W3C recommendation "Trace Context" (level 1, with the random flag of level 2). It is carried in HTTP
//! headers, outbox rows, event metadata and saga records alike, so that one order is one tree over
//! every process it touched. Spans go to a [`SpanSink`]; who exports them is not decided here.

mod context;
mod propagators;
mod span;
mod state;

pub use context::{SpanId, TraceContext, TraceId, current, scope, sync_scope};
pub use propagators::{Propagator, Propagators};
pub use span::{AttributeValue, Span, SpanBuilder, SpanData, SpanKind, SpanSink, Tracer};
