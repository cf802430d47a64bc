//! Keeping an open saga running, whatever happens to it.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::config::STORE_BACKOFF;
use super::handle::Command;
use super::index::Activity;
use super::partition::Partition;
use super::saga::{Exit, Saga};
use super::writer::read_saga;
use super::{Error, ErrorKind};
use crate::definition::Plan;
use crate::state::State;

impl Partition {
    /// Runs a saga in a task of its own until it ends or the partition is given back.
    pub(super) fn run_saga(
        self: &Arc<Self>,
        id: Uuid,
        commands: mpsc::Receiver<Command>,
        known: Option<(Arc<Plan>, State)>,
    ) {
        let part = Arc::clone(self);
        let work = async move { part.live(id, commands, known).await };
        self.spawn("saga", work);
    }

    /// Runs a saga again and again: what is broken now may be mended later, and what cannot be run
    /// is shown by the liveness query meanwhile.
    async fn live(
        self: &Arc<Self>,
        id: Uuid,
        mut commands: mpsc::Receiver<Command>,
        mut known: Option<(Arc<Plan>, State)>,
    ) {
        let stop = self.tasks.stop().clone();
        for failures in 1_u32.. {
            let found_open = known.is_none();
            let loaded = match known.take() {
                Some(known) => Ok(known),
                None => match stop.unless_requested(self.load(id)).await {
                    Some(loaded) => loaded,
                    None => return,
                },
            };
            let exit = match loaded {
                Ok((plan, state)) => {
                    let saga = Saga::new(self, plan, state, &mut commands, found_open);
                    Box::pin(saga.run()).await
                }
                Err(error) => Exit::Broken(error.to_string()),
            };
            let why = match exit {
                Exit::Ended | Exit::Stopping => return,
                Exit::Stale => "its stream was written by somebody else".to_owned(),
                Exit::Broken(why) => {
                    tracing::error!(saga = %id, why, "a saga cannot be run; it is tried again");
                    self.index.set_activity(id, Activity::Broken(why.clone()));
                    why
                }
            };
            let wait = STORE_BACKOFF.delay(failures, &self.shared.rng);
            let again = decline_for(wait, &mut commands, &why);
            if stop.unless_requested(again).await.is_none() {
                return;
            }
        }
    }

    async fn load(&self, id: Uuid) -> Result<(Arc<Plan>, State), Error> {
        // Reading is bounded like calling: a restart does not read everything at once.
        let _turn = self.shared.reading.acquire().await;
        let facts = read_saga(&self.shared.store, id).await?;
        let plan = self.shared.plan_of(id, &facts)?;
        let state = State::fold(id, &facts, &plan).map_err(|error| {
            Error::new(ErrorKind::Unreadable, format!("saga {id}: {error}")).caused_by(error)
        })?;
        Ok((plan, state))
    }
}

/// Answers commands for `wait` with why they cannot be carried out.
async fn decline_for(wait: Duration, commands: &mut mpsc::Receiver<Command>, why: &str) {
    let until = Instant::now() + wait;
    while let Ok(Some(command)) = tokio::time::timeout_at(until, commands.recv()).await {
        // Whoever asked may have gone away.
        let _gone = command
            .reply
            .send(Err(Error::new(ErrorKind::Unreadable, why)));
    }
}
