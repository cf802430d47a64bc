//! Timeout: an answer that comes too late is no answer, and nobody works on for it.
//!
//! When the time is over the call is *dropped*, which cancels it; a timeout that only stops waiting
//! leaves the call running and the load in place. Where a [`Deadline`](ieum_base::Deadline) travels
//! with the request, the earlier of the two holds.

mod config;
mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use error::{Elapsed, Error};
pub use layer::TimeoutLayer;
pub use service::{ResponseFuture, Timeout};
