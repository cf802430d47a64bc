//! The port: what every registry promises.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::{CheckId, InstanceId, Registration, Result, Snapshot, Status};

/// Knows which instances of which services exist, and how they are.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Registers an instance with its checks, or replaces the registration of the same id.
    /// Idempotent. Durable at return where the engine persists.
    async fn register(&self, registration: Registration) -> Result<()>;

    /// Removes an instance and its checks. Idempotent: an unknown id is `NotFound`, nothing else.
    async fn deregister(&self, instance: &InstanceId) -> Result<()>;

    /// Reports the state of a TTL check. An unchanged state writes and wakes nothing.
    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()>;

    /// The instances of `service` with their checks. Waits at most `wait` for an index above
    /// `after`; `after` 0, or an index that this registry has not reached, is answered at once.
    /// Cancel safe.
    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot>;

    /// All services with the union of their tags, in order of their names.
    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>>;
}
