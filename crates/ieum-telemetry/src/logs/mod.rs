//! Logs: one line per event on standard error, and a record per event for the exporter.

mod format;
mod forward;
mod subscriber;

pub use forward::{Forwarding, of_traces};
pub(crate) use forward::{LogItem, Wanted, forward};
pub use subscriber::{Log, LogFormat, start};
