//! Bulkhead: one slow service must not take every connection, task and byte of its callers.
//!
//! A bulkhead admits a bounded number of calls at once to one target; a bounded number of others
//! wait for a bounded time; the rest are refused at once. (The numbers are Envoy's; a queue that is
//! bounded in length *and* time is HAProxy's.) One bulkhead per called service, as the compartments
//! of a ship: water in one leaves the others dry.

mod config;
mod core;
mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use self::core::{Bulkhead, Permit};
pub use config::Config;
pub use error::{Error, Full};
pub use layer::BulkheadLayer;
pub use service::{BulkheadService, ResponseFuture};
