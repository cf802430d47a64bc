//! What a service tells about itself: its log, the exporter of its spans, metrics and log records,
//! and the names of its metrics.

mod logs;
pub(crate) mod names;

pub use ieum_telemetry::logs::LogFormat;
pub use ieum_telemetry::otlp::{Exporter, Figures, Settings};
pub use logs::{init, init_filtered, init_with};
