//! Traces: one bounded store in memory, a receiver for OTLP, and the tree that people read.
//!
//! Services send their spans over OTLP; the gateway and the saga engine, which live in this process,
//! record theirs directly. Both end in the same store, so that an order is one tree. What was logged in
//! a trace is kept beside its spans.

mod logs;
mod names;
mod otlp;
mod store;
mod tree;

pub use logs::LogLimits;
pub(crate) use logs::{line as log_line, read as read_log};
pub(crate) use names::short_name;
pub(crate) use otlp::read as read_otlp;
pub use store::{Held, Limits, Store};
pub use tree::Tree;
