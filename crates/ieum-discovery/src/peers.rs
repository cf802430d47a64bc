//! What several platforms on one log tell each other beside it.
//!
//! A heartbeat that changes nothing is not written down, and it may arrive at any of them. One platform
//! at a time judges who was silent for too long; before it does, it asks the others what they heard. A
//! platform that is gone may have heard anything until then, so its loss starts every time anew, as a
//! restart does.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Uuid;
use serde::{Deserialize, Serialize};

use crate::CheckId;

/// How long ago a platform heard of what, in milliseconds: relative, so that no clock is compared with
/// another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// TTL checks that were reported there.
    pub checks: BTreeMap<CheckId, u64>,
    /// Sessions that were renewed there.
    #[serde(default)]
    pub sessions: BTreeMap<Uuid, u64>,
    /// The run of that platform: another one has forgotten what the one before it heard.
    #[serde(default)]
    pub run: Uuid,
}

impl Heard {
    /// What this process was told: by its registry and by its sessions.
    pub fn here(checks: BTreeMap<CheckId, Duration>, sessions: BTreeMap<Uuid, Duration>) -> Self {
        let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            checks: checks
                .into_iter()
                .map(|(id, age)| (id, millis(age)))
                .collect(),
            sessions: sessions
                .into_iter()
                .map(|(id, age)| (id, millis(age)))
                .collect(),
            run: Uuid::nil(),
        }
    }

    /// The same, said by the run `run` of a platform.
    #[must_use]
    pub fn in_run(self, run: Uuid) -> Self {
        Self { run, ..self }
    }
}

/// What the other platforms answered.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// What those that answered heard.
    pub heard: Vec<Heard>,
    /// How many times by now a platform was lost with what it had heard. A count and no flag: several
    /// ask, and each of them must learn of every loss.
    pub losses: u64,
}

/// The other platforms on the same log.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Asks all of them. Takes no longer than a bounded time; who does not answer by then is lost.
    async fn gather(&self) -> Gathered;
}

/// None: this process is alone on its log.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

#[async_trait]
impl Peers for Alone {
    async fn gather(&self) -> Gathered {
        Gathered::default()
    }
}
