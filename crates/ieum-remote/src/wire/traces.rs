//! Traces that the platform keeps for a while.
//!
//! | call | query | answer |
//! |---|---|---|
//! | `GET /api/v1/traces` | [`ListTraces`] | 200 [`Traces`] |
//! | `GET /api/v1/traces/{id}` | | 200 [`Trace`], 404 |
//!
//! The id is a trace id, or the value of the attribute `order.id` or `ieum.saga.id`.

use ieum_base::Timestamp;
use ieum_base::trace::{SpanData, TraceId};
use serde::{Deserialize, Serialize};

/// The query of a list of traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTraces {
    /// The most in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The latest traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traces {
    /// The latest first.
    pub traces: Vec<TraceSummary>,
}

/// One line about a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSummary {
    /// The trace.
    pub trace_id: TraceId,
    /// The name of its root span, or of its earliest one while the root is missing.
    pub name: String,
    /// The service of that span.
    pub service: String,
    /// When it began.
    pub start: Timestamp,
    /// From its beginning to its latest end, in milliseconds.
    pub duration_ms: u64,
    /// How many spans it has.
    pub spans: usize,
    /// True if a span of it failed.
    pub failed: bool,
}

/// A trace with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The trace.
    pub trace_id: TraceId,
    /// Its spans, by their start.
    pub spans: Vec<SpanData>,
}
