//! The messages of the OpenTelemetry Protocol 1.x, as far as they are written or read here.
//!
//! Each is one struct with both of its encodings: protobuf (the numbers are those of
//! opentelemetry-proto) and JSON. What a reader does not know is skipped in both.

mod common;
mod json;
mod logs;
mod metrics;
mod trace;

pub use common::{
    AnyValue, ArrayValue, ExportResponse, KeyValue, KeyValueList, PartialSuccess, Resource, Scope,
    Value,
};
pub use logs::{LogRecord, LogsRequest, ResourceLogs, ScopeLogs};
pub use metrics::{
    Data, Gauge, Histogram, HistogramPoint, Metric, MetricsRequest, Number, NumberPoint, Opaque,
    Point, ResourceMetrics, ScopeMetrics, Sum,
};
pub use trace::{ResourceSpans, ScopeSpans, Span, Status, TracesRequest};
