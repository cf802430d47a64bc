//! Metrics between the two formats: what `/metrics` shows is what is exported.

pub mod exposition;
mod otlp;
