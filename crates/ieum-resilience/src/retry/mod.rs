//! Retry: once more, if it can help, is safe, and does not make an outage worse.
//!
//! Three questions come before a second attempt. *May it be repeated?* Only the caller knows whether
//! the call is idempotent; the [`Policy`] answers. *Can it help?* A "no" stays a "no". *Can the
//! target bear it?* Retries multiply load exactly when there is too much of it, so each one is paid
//! from a [`Budget`]: a share of the requests, plus a few per second so that a quiet caller may retry
//! at all (Gateway API, GEP-3388; Finagle's retry budgets).

mod budget;
mod config;
mod error;
mod layer;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use budget::{Budget, BudgetConfig};
pub use config::Config;
pub use error::Error;
pub use layer::RetryLayer;
pub use policy::Policy;
pub use service::{ResponseFuture, RetryService};
