//! What a service tells about itself: logs on standard error, spans to the platform, and the names
//! of its metrics.

mod exporter;
mod logs;
pub(crate) mod names;
mod otlp;

pub use exporter::{Exporter, ExporterConfig, ExporterFigures};
pub use logs::{LogFormat, init, init_with};
