//! Health checks: asking the instances of a registry that lives in this process how they are.
//!
//! The registry says what there is to check, the [`Checker`] asks, and only a *change* of state goes
//! back to the registry. As in Consul, one failure makes a check critical and one success makes it
//! passing. TTLs run on the monotonic clock, so a step of the time of day expires nobody; after a
//! restart every TTL starts anew.

mod checker;
mod life;
mod probe;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use tokio::time::Instant;

pub use checker::{Checker, Config, Handle};

use crate::{CheckId, Live, Registry, Result};

/// A registry whose checks are run in this process.
#[async_trait]
pub trait Checked: Registry {
    /// Its catalog.
    fn live(&self) -> &Live;

    /// Makes a check critical unless it was heard of after `since`. Durable at return where the
    /// engine persists.
    async fn expire(&self, check: &CheckId, since: Instant, output: &str) -> Result<()>;
}
