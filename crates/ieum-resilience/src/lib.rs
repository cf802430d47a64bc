//! Protections for calls between services, one folder per pattern.
//!
//! Each pattern is a [`tower::Layer`] and, below it, a bare shared core ([`Breaker`], [`Budget`],
//! [`Limiter`], [`KeyedLimiter`], [`Bulkhead`]) for code that cannot afford a layer. Cores are cheap
//! to clone, and clones share their state, as do all services that one layer made: a limit that
//! were silently per clone would be no limit. Layers admit in `call`, never in `poll_ready`.
//!
//! Time is tokio's, so that tests pause it; randomness is [`ieum_base::Rng`]'s, so that a seed
//! replays a run. Defaults and their origins: `docs/patterns/`.
//!
//! A stack reads from the outside in; the usual order, with its reasons:
//!
//! 1. fallback: answers for whatever failed below;
//! 2. timeout: bounds all attempts together;
//! 3. retry: each attempt passes everything below anew;
//! 4. circuit breaker: judges each attempt;
//! 5. bulkhead: a refused call must not look like a failed one to the breaker above, so its policy
//!    calls that outcome unknown.

pub mod bulkhead;
pub mod cache;
pub mod circuit_breaker;
mod error;
pub mod fallback;
mod preset;
pub mod rate_limit;
pub mod retry;
pub mod timeout;
mod window;

pub use bulkhead::Bulkhead;
pub use cache::Cache;
pub use circuit_breaker::Breaker;
pub use error::InvalidSetting;
pub use preset::Preset;
pub use rate_limit::{KeyedLimiter, Limiter, Quota};
pub use retry::Budget;
