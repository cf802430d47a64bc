//! Balancing: which of several endpoints takes the next request.
//!
//! The default is the power of two choices (Mitzenmacher, 2001) over a peak-sensitive moving average
//! of latency (Finagle; linkerd2-proxy): two endpoints are drawn and the one with the lower
//! `latency × (in flight + 1)` wins. It needs no global view, reacts to one slow answer at once, and
//! never sends a herd to the endpoint that looks best. A failure counts as a long answer, because an
//! endpoint that fails fast would otherwise look like the quickest of all.

mod choose;
mod config;
mod load;
mod schedule;

pub use config::{Config, Policy};
pub use load::Load;

pub(crate) use choose::{Choice, choose};
pub(crate) use schedule::Schedule;
