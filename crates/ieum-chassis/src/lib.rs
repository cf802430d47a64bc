//! The life of a service: configuration, telemetry, health, identity, registration, graceful stop.
//!
//! A service brings its routes; a [`Chassis`] puts them into a frame that is the same for all
//! services: `/health` and `/metrics`, a span and a log line per request under the caller's trace,
//! problem details for every error, the caller's [`Identity`], a place in the registry, and an end in
//! order. Nothing is global but the log.

mod breakers;
mod chassis;
mod config;
pub mod figures;
#[cfg(feature = "grpc")]
pub mod grpc;
mod health;
mod identity;
mod json;
pub mod metrics;
mod observe;
pub mod problems;
mod registration;
mod router;
mod signals;
pub mod telemetry;

pub use chassis::{Bound, Chassis, Ended};
pub use config::{Check, Config};
pub use health::{CheckResult, Health, Overall, Report};
pub use identity::{ADMIN, Identity};
pub use json::Json;
pub use metrics::Metrics;
pub use problems::{OrProblem, Result};
pub use signals::stop_on_signals;
