//! What a process tells about itself: spans, metrics and logs, over OTLP and on standard error.
//!
//! [`proto`] holds the messages of the OpenTelemetry Protocol in both of its encodings, for those who
//! send and those who receive; [`otlp`] exports; [`metrics`] reads what `/metrics` shows; [`logs`] is
//! the log of the process; [`breakers`] is how circuit breakers are told of. Nothing here is global but the log.

pub mod breakers;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod proto;
