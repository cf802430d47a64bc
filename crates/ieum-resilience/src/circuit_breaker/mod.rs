//! Circuit breaker: stop calling what does not work, and find out cheaply when it works again.
//!
//! The words are electrical: **closed** = traffic flows, **open** = it does not, **half-open** = one
//! real request is on its way to find out. A breaker opens after a number of failures in a row or
//! when the share of successes over a sliding window falls below a bound (linkerd2-proxy,
//! `breaker/unified.rs`); it stays open for a time that doubles with each failed probe; then exactly
//! *one* call is let through, and its outcome decides. A breaker that lets everything through when
//! half-open knocks over what just stood up.
//!
//! What is a failure is the caller's judgement, given as an [`Outcome`]: a server that answers 404
//! has answered.

mod config;
mod core;
mod error;
mod future;
mod journal;
mod layer;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use self::core::{Breaker, Observer, Permit, Snapshot, State, Transition};
pub use config::Config;
pub use error::{Error, Open};
pub use future::ResponseFuture;
pub use journal::{Change, Reason};
pub use layer::CircuitBreakerLayer;
pub use policy::{ErrorsAreFailures, Outcome, Policy};
pub use service::CircuitBreaker;
