//! A registry in memory: for tests, and for a process that registers only its own instances.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::catalog::{Catalog, Change, Limits};
use crate::health::Checked;
use crate::live::Live;
use crate::{CheckId, InstanceId, Registration, Result, Snapshot, Status};

/// Registrations that last as long as the process. Indexes count changes.
#[derive(Debug)]
pub struct Registry {
    live: Live,
    /// Held from a decision to its application, so that no two decide on the same catalog.
    deciding: Mutex<()>,
}

impl Registry {
    /// An empty registry with the default limits.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty registry with `limits`.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            live: Live::new(limits),
            deciding: Mutex::default(),
        }
    }

    /// The catalog as it is now.
    pub const fn live(&self) -> &Live {
        &self.live
    }

    fn decide(&self, on: impl FnOnce(&Catalog) -> Result<Vec<Change>>) -> Result<()> {
        self.change(|| self.live.look(on))
    }

    fn change(&self, decide: impl FnOnce() -> Result<Vec<Change>>) -> Result<()> {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = decide();
        let index = self.live.look(Catalog::index);
        // Index 1 is that of a service without instances.
        let changes: Vec<_> = (index.max(1) + 1..).zip(changes?).collect();
        self.live.apply(&changes);
        Ok(())
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl crate::Registry for Registry {
    async fn register(&self, registration: Registration) -> Result<()> {
        self.decide(|catalog| catalog.register(registration.clone()))?;
        self.live.hear_all(&registration.checks);
        Ok(())
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        self.decide(|catalog| catalog.deregister(instance))
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        self.decide(|catalog| catalog.report(check, status, output))?;
        self.live.hear(check, output);
        Ok(())
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        Ok(self.live.watch(service, after, wait).await)
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(self.live.look(Catalog::services))
    }
}

#[async_trait]
impl Checked for Registry {
    fn live(&self) -> &Live {
        &self.live
    }

    async fn expire(&self, check: &CheckId, since: Instant, output: &str) -> Result<()> {
        self.change(|| self.live.expire(check, since, output))
    }
}
