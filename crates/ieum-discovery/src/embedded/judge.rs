//! The registry as it is seen by the one platform that judges: whose checks failed, who was silent.
//!
//! Several platforms on one log would otherwise contradict each other, each with what it saw itself.
//! Every verdict is written under the fence of the tenure, so that a platform that was frozen in the
//! middle of a check and wakes up to a time-out cannot condemn anybody.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ieum_eventstore::ownership::Tenure;
use tokio::time::Instant;

use super::Registry;
use crate::health::Checked;
use crate::peers::Peers;
use crate::{CheckId, Error, InstanceId, Live, Registration, Result, Snapshot, Status};

/// A registry under a tenure. What it decides is refused once the tenure is over.
#[derive(Clone)]
pub struct Judge {
    registry: Arc<Registry>,
    tenure: Tenure,
    peers: Arc<dyn Peers>,
    /// The losses after which every time was started anew.
    losses: Arc<Mutex<u64>>,
}

impl Judge {
    /// Begins to judge: every time starts anew, because nobody knows what the one before had heard.
    pub fn begin(registry: Arc<Registry>, tenure: Tenure, peers: Arc<dyn Peers>) -> Self {
        registry.live.hear_everything();
        Self {
            registry,
            tenure,
            peers,
            losses: Arc::default(),
        }
    }

    /// A refusal of the fence ends the tenure.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && is_fenced(error)
        {
            self.tenure.refused();
        }
        outcome
    }

    /// Learns what was reported to the others.
    async fn ask_the_others(&self) {
        let gathered = self.peers.gather().await;
        let live = &self.registry.live;
        {
            // Held meanwhile: nobody who was told the same may judge before every time starts anew.
            let mut known = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
            if *known < gathered.losses {
                *known = gathered.losses;
                live.hear_everything();
            }
        }
        let now = Instant::now();
        for (check, age) in gathered.heard.iter().flat_map(|heard| &heard.checks) {
            if let Some(when) = now.checked_sub(Duration::from_millis(*age)) {
                live.hear_at(check, when);
            }
        }
    }
}

#[async_trait]
impl crate::Registry for Judge {
    async fn register(&self, registration: Registration) -> Result<()> {
        crate::Registry::register(&*self.registry, registration).await
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        let decide = || self.registry.live.look(|c| c.deregister(instance));
        let outcome = self
            .registry
            .change(Some(self.tenure.fence()), decide)
            .await;
        self.noted(outcome)
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        let decide = || self.registry.live.look(|c| c.report(check, status, output));
        let outcome = self
            .registry
            .change(Some(self.tenure.fence()), decide)
            .await;
        self.noted(outcome)?;
        self.registry.live.hear(check, output);
        Ok(())
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        self.registry.watch(service, after, wait).await
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        self.registry.services().await
    }
}

#[async_trait]
impl Checked for Judge {
    fn live(&self) -> &Live {
        &self.registry.live
    }

    /// Asks the other platforms first: the check may be reported there.
    async fn expire(&self, check: &CheckId, since: Instant, output: &str) -> Result<()> {
        self.ask_the_others().await;
        let decide = || self.registry.live.expire(check, since, output);
        let outcome = self
            .registry
            .change(Some(self.tenure.fence()), decide)
            .await;
        self.noted(outcome)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge")
            .field("tenure", &self.tenure)
            .finish_non_exhaustive()
    }
}

fn is_fenced(error: &Error) -> bool {
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<ieum_eventstore::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), ieum_eventstore::ErrorKind::Fenced { .. }))
}

#[cfg(test)]
mod tests;
