//! Rate limit: so many requests per time, per key, evenly.
//!
//! The algorithm is GCRA (the generic cell rate algorithm of ATM, ITU-T I.371): one timestamp per
//! key says when the next request would be *on schedule*; a request may be early by the burst and no
//! more. Against a fixed window it has no double burst at the window's edge, against a sliding log
//! it needs one word. Answers carry what the IETF draft "RateLimit header fields for HTTP" tells a
//! client: how much is left, when it is whole again, and when to come back.
//!
//! The keyed form is bounded: keys that have not been seen for longest are forgotten first, which
//! gives them a fresh burst and never makes a limit stricter than it is.
//!
//! Several processes share a limit through a [`Store`], with the same arithmetic; [`SharedLimiter`]
//! goes on alone while the store does not answer.

mod config;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
mod keyed;
mod layer;
mod limiter;
mod quota;
mod service;
mod store;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use error::{Error, Limited};
pub use keyed::KeyedLimiter;
pub use layer::RateLimitLayer;
pub use limiter::Limiter;
pub use quota::{Allowed, Quota};
pub use service::{RateLimit, ResponseFuture};
pub use store::{MemoryStore, SharedLimiter, Store, StoreError, Verdict};
