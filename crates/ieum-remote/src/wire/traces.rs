//! Traces that the platform keeps for a while.
//!
//! | call | query | answer |
//! |---|---|---|
//! | `GET /api/v1/traces` | [`ListTraces`] | 200 [`Traces`] |
//! | `GET /api/v1/traces/{id}` | | 200 [`Trace`], 404 |
//!
//! The id is a trace id, or the value of the attribute `order.id` or `ieum.saga.id`.

use std::collections::BTreeMap;

use ieum_base::Timestamp;
use ieum_base::trace::{SpanData, SpanId, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The query of a list of traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTraces {
    /// Only those that this service took part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only those in which something failed (`true`), or nothing did (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// Only those about this order or saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
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
    /// What was logged in it, by its time: as much as is kept.
    #[serde(default)]
    pub logs: Vec<LogLine>,
    /// How many spans name a parent that was not recorded: holes in the trace.
    #[serde(default)]
    pub orphans: usize,
}

/// One line that was logged while somebody worked for a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// Who wrote it.
    pub service: String,
    /// What it says.
    pub message: String,
    /// The span in which it was written.
    pub span_id: Option<SpanId>,
    /// What is known beside.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// How grave a line of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For whom follows each step.
    Trace,
    /// For whom looks for a defect.
    Debug,
    /// What happened.
    Info,
    /// What should not happen often.
    Warn,
    /// What should not happen.
    Error,
}

impl LogLevel {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
