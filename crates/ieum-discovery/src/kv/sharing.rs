//! Keys and sessions on a log that several processes write to.
//!
//! A key belongs to nobody: who writes it decides on what was read, and loses the race if somebody else
//! was quicker. What is shared beside the log is time: a session is renewed at any of the processes, and
//! one of them ends those that nobody renewed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{TaskKind, Tasks, Uuid};
use ieum_eventstore::{Fence, Position};
use tokio::time::Instant;

use super::keeper::Keeper;
use super::store::{Shared, unavailable};
use super::{Config, Store};
use crate::peers::{Gathered, Peers};
use crate::{Result, embedded};

impl Store {
    /// The same on a log that other processes write to as well. Reads see what others wrote before, and
    /// sessions end while [`Self::look_after_sessions`] runs in one of them.
    pub fn sharing(
        registry: Arc<embedded::Registry>,
        home: String,
        config: Config,
        tasks: Tasks,
    ) -> Self {
        Self::with(registry, home, config, tasks, true)
    }

    /// How long ago sessions were renewed at this process, of those that were.
    pub fn told(&self) -> BTreeMap<Uuid, Duration> {
        self.0.state().told()
    }

    /// Ends the sessions that are over, as the one of several processes whose turn it is, under
    /// `fence`. Every session lives for its whole TTL from here on. Runs until it is dropped.
    pub async fn look_after_sessions(&self, fence: Fence, peers: Arc<dyn Peers>) {
        while let Err(error) = self.0.open().await {
            tracing::warn!(%error, "sessions cannot be looked after yet");
            self.0.clock.sleep(PAUSE).await;
        }
        self.0.state().hear_everything();
        let turn = Some((fence, peers));
        Keeper::new(Arc::clone(&self.0), turn).run().await;
    }
}

impl Shared {
    /// Reads what others wrote, where there are others.
    pub(super) async fn refresh(&self) -> Result<()> {
        match self.is_shared {
            true => self.catch_up(&mut *self.writer.lock().await).await,
            false => Ok(()),
        }
    }

    /// Wakes those who wait for what others write, until the stop.
    pub(super) fn follow(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let stop = self.tasks.stop().clone();
        let follow = async move {
            let mut seen = Position::START;
            loop {
                let followed = async {
                    let head = shared.log.wait(seen, FOLLOW_WAIT).await;
                    seen = head
                        .map_err(|e| unavailable("waiting for the log", e))?
                        .position;
                    shared.refresh().await
                };
                if let Err(error) = followed.await {
                    tracing::warn!(%error, "the key-value store cannot follow the log");
                    shared.clock.sleep(PAUSE).await;
                }
                shared.clock.sleep(FOLLOW_PAUSE).await;
            }
        };
        self.tasks
            .spawn(TaskKind::Background, "kv-follower", async move {
                stop.unless_requested(follow).await;
            });
    }

    /// Learns what was renewed elsewhere; `losses` are those that are known.
    pub(super) fn learn(&self, gathered: &Gathered, losses: &mut u64) {
        let mut state = self.state();
        if *losses < gathered.losses {
            *losses = gathered.losses;
            state.hear_everything();
        }
        let now = Instant::now();
        for (id, age) in gathered.heard.iter().flat_map(|heard| &heard.sessions) {
            if let Some(when) = now.checked_sub(Duration::from_millis(*age)) {
                state.hear_at(*id, when);
            }
        }
    }
}

/// How long the follower waits for the log to grow, and the least time between two looks.
const FOLLOW_WAIT: Duration = Duration::from_secs(60);
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

/// How long to leave a log alone that does not answer.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
