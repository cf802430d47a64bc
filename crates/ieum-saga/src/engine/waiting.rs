//! How a saga waits: for its turn, for its next attempt, for an operator.
//!
//! The waits are where a saga spends its life when something is wrong, so each has a way out besides
//! the clock: a command, the stop, and the return of the participant that it waits for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::index::Activity;
use super::presence::Participant;
use super::saga::{Exit, Saga};
use crate::decide::Target;
use crate::port::Participants;
use crate::state::Status;

/// A saga's turn to make calls of one participant.
pub(super) struct Turn {
    pub(super) participant: Arc<Participant>,
    /// One of the participant's share.
    own: OwnedSemaphorePermit,
    /// One of the engine's.
    engine: OwnedSemaphorePermit,
}

/// The participant that did not answer the last attempt.
pub(super) struct Absent {
    participant: Arc<Participant>,
    /// Changes when it answers somebody else again.
    returns: watch::Receiver<u64>,
    /// What the host knew of it before the attempt.
    presence: u64,
    /// True if the request was never sent: then looking again costs the participant nothing.
    unsent: bool,
}

impl Absent {
    /// To be made before an attempt, so that a return during it is not missed.
    pub(super) fn expected(participant: &Arc<Participant>, host: &dyn Participants) -> Self {
        Self {
            returns: participant.returns(),
            presence: host.presence(participant.name()),
            participant: Arc::clone(participant),
            unsent: false,
        }
    }

    /// The same, for an attempt that was not even sent.
    pub(super) fn not_sent(self) -> Self {
        Self {
            unsent: true,
            ..self
        }
    }

    /// Waits for a hint that it may be back: it answered another saga, the host says so, or it is
    /// time to look.
    async fn hint(&mut self, host: &dyn Participants) {
        let Self {
            participant,
            returns,
            presence,
            unsent,
        } = self;
        let look = async {
            match unsent {
                true => participant.look().await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            // The engine holds the sender: this cannot fail.
            _ = returns.changed() => {}
            now = host.presence_changed(participant.name(), *presence) => *presence = now,
            () = look => {}
        }
    }

    /// True if nothing speaks against another attempt.
    fn may_be_back(&self, host: &dyn Participants) -> bool {
        host.absence(self.participant.name()).is_none()
    }
}

impl Saga<'_> {
    /// True if it is this saga's turn to call the participant of `target`, or becomes so without a
    /// wait: then the outcome of one step and the intent of the next are one append.
    pub(super) fn has_turn(&mut self, target: &Target) -> bool {
        let turn = self.turn.take();
        let Some(service) = self.service_of(target) else {
            return true;
        };
        self.turn = match turn {
            Some(turn) if turn.participant.name() != service => {
                let Turn { engine, own, .. } = turn;
                drop(own);
                let participant = self.shared.presence.of(service);
                let own = Arc::clone(&participant.turns).try_acquire_owned().ok();
                own.map(|own| Turn {
                    participant,
                    own,
                    engine,
                })
            }
            turn => turn,
        };
        self.turn.is_some()
    }

    /// Waits for a turn to call the participant of `target`; the state may have changed when it
    /// comes. The participant's own turn comes first: who waits for it holds none of the engine's.
    pub(super) async fn queue(&mut self, target: &Target) -> Result<(), Exit> {
        self.flush().await?;
        let shared = Arc::clone(&self.part.shared);
        let service = self.service_of(target).unwrap_or_default();
        let participant = shared.presence.of(service);
        let turns = Arc::clone(&participant.turns);
        let turn = async {
            // Neither is ever closed.
            let own = turns.acquire_owned().await.ok()?;
            let engine = Arc::clone(&shared.permits).acquire_owned().await.ok()?;
            Some((own, engine))
        };
        let part = self.part;
        tokio::select! {
            turn = turn => self.turn = turn.map(|(own, engine)| Turn { participant, own, engine }),
            () = part.tasks.stop().requested() => return Err(Exit::Stopping),
            command = self.commands.recv() => self.obey(command).await?,
        }
        Ok(())
    }

    /// Waits before the next attempt, no longer than the saga's deadline where it counts, and no
    /// longer than a participant is away that was.
    pub(super) async fn wait(&mut self, failed: u32) -> Result<(), Exit> {
        let config = &self.shared.config;
        let backoff = config.backoff().delay(failed, &self.shared.rng);
        let delay = backoff.max(self.asked_for.min(config.backoff_most.0));
        let now = Instant::now();
        let until = now + delay;
        // A hint is no reason to try in a loop: it shortens long waits only.
        let sooner = config.probe_backoff().delay(failed, &self.shared.rng);
        let not_before = now + sooner.min(delay);
        let forward = self.state.status == Status::Running;
        let deadline_counts = forward && !self.state.is_past_pivot(&self.plan);
        let wake = match self.deadline.instant() {
            deadline if deadline_counts && deadline < until => deadline,
            _ => until,
        };
        self.part
            .index
            .set_activity(self.state.id, Activity::Until(wake));
        let mut absent = self.absent.take();
        let host = Arc::clone(&self.shared.participants);
        let hinted = async {
            let Some(absent) = &mut absent else {
                return std::future::pending().await;
            };
            loop {
                absent.hint(&*host).await;
                tokio::time::sleep_until(not_before).await;
                if absent.may_be_back(&*host) {
                    return;
                }
                absent.participant.look_soon();
            }
        };
        let woken = async {
            tokio::select! {
                () = tokio::time::sleep_until(wake) => Instant::now() >= until,
                () = hinted => true,
            }
        };
        let due = self.listen(woken).await?;
        self.due |= due.unwrap_or_else(|| Instant::now() >= until);
        self.absent = absent;
        Ok(())
    }

    /// Waits for an operator.
    pub(super) async fn rest(&mut self) -> Result<(), Exit> {
        self.part
            .index
            .set_activity(self.state.id, Activity::Operator);
        self.listen(std::future::pending::<()>()).await.map(drop)
    }

    /// Waits for something, a command, or the stop; `None` if a command came first.
    async fn listen<T>(&mut self, something: impl Future<Output = T>) -> Result<Option<T>, Exit> {
        let part = self.part;
        let come = tokio::select! {
            come = something => Some(come),
            () = part.tasks.stop().requested() => return Err(Exit::Stopping),
            command = self.commands.recv() => {
                self.obey(command).await?;
                None
            }
        };
        part.index.set_activity(self.state.id, Activity::Runnable);
        Ok(come)
    }
}
