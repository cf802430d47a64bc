//! The export of spans, metrics and logs over OTLP, in batches, off the way of requests.

mod exporter;
mod grpc;
mod resource;
mod settings;
mod spans;
mod transport;
mod worker;

pub use exporter::{Config, Exporter, Figures, Labels, MetricsText, Outcomes, Report, Reporter};
pub use settings::{Destination, Protocol, Queue, Settings, Signal};
pub(crate) use spans::nanos;
