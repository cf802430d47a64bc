//! The engine as a long-running component.

use std::collections::HashSet;
use std::sync::Arc;

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Rng, Stop, TaskKind, Tasks};
use ieum_eventstore::{Checkpoints, EventStore, Fences};
use tokio::sync::mpsc;

use super::handle::MAILBOX;
use super::recovery::Fold;
use super::shared::{Parts, Shared};
use super::{Config, Error, ErrorKind, Handle, Result};
use crate::port::Participants;

/// What the engine works with.
#[derive(Clone)]
pub struct Deps {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// How far the event triggers have come.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The epochs.
    pub fences: Arc<dyn Fences>,
    /// The services that take part.
    pub participants: Arc<dyn Participants>,
    /// The time of day.
    pub clock: Clock,
    /// Jitter and ids of spans.
    pub rng: Rng,
    /// Where spans go; none are recorded without it.
    pub spans: Option<Arc<dyn SpanSink>>,
    /// The name of the service under which spans are recorded.
    pub service: Arc<str>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// The engine. Sagas run from [`Service::open`] on; [`Service::run`] adds event triggers and
/// watches over them until the stop.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    fold: Fold,
}

impl Service {
    /// Takes the log over: raises the epoch, reads definitions and open sagas, and goes on with all
    /// of them. It must be called on a tokio runtime.
    pub async fn open(config: Config, deps: Deps) -> Result<(Self, Handle)> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::Config, problems.join("; ")));
        }
        let fence = deps.fences.raise(FENCE).await?;
        let tasks = Tasks::new(Stop::new());
        let shared = Arc::new(Shared::new(Parts {
            config,
            deps,
            fence,
            tasks,
        }));
        shared.definitions.load(&shared.store).await?;
        let (recovered, fold) = shared.recover().await?;
        tracing::info!(
            epoch = shared.fence.epoch,
            recovered,
            "the saga engine is open"
        );
        let handle = Handle::new(Arc::clone(&shared));
        Ok((Self { shared, fold }, handle))
    }

    /// Works until `stop`, then lets the calls in flight end within the drain time. An error means
    /// that a later engine has taken over.
    pub async fn run(self, stop: Stop) -> Result<()> {
        let Self { shared, fold } = self;
        let shared = &shared;
        let own = shared.tasks.stop().clone();
        let keep_fold = Arc::clone(shared).keep_fold(fold);
        shared
            .tasks
            .spawn(TaskKind::Background, "saga-snapshot", keep_fold);
        let mut triggers = HashSet::new();
        loop {
            for name in shared.definitions.triggered() {
                if triggers.insert(name.clone()) {
                    shared.run_trigger(name);
                }
            }
            tokio::select! {
                () = stop.requested() => break,
                () = own.requested() => break,
                () = shared.redefined.notified() => {}
                () = shared.clock.sleep(shared.config.sweep.0) => revive(shared),
            }
        }
        let abandoned = shared.tasks.shut_down(shared.config.drain.0).await;
        for task in &abandoned {
            tracing::warn!(
                task = task.name,
                count = task.count,
                "still running at the stop; the next engine goes on with them"
            );
        }
        if shared.is_superseded() {
            return Err(Error::new(ErrorKind::Superseded, "the saga engine stopped"));
        }
        Ok(())
    }
}

/// Runs sagas again whose task has died.
fn revive(shared: &Arc<Shared>) {
    for id in shared.index.dead() {
        let (mailbox, commands) = mpsc::channel(MAILBOX);
        if shared.index.reopen(id, mailbox) {
            tracing::error!(saga = %id, "the task of a saga has died; it is started again");
            shared.counters.revived.add(1);
            shared.run_saga(id, commands, None);
        }
    }
}

impl Shared {
    fn run_trigger(self: &Arc<Self>, name: String) {
        let shared = Arc::clone(self);
        let work = async move { shared.trigger(name).await };
        self.tasks.spawn(TaskKind::Background, "saga-trigger", work);
    }
}

/// The name of the engine's fence.
const FENCE: &str = "saga-engine";
