//! What the engine's parts share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Rng, Tasks, Timestamp};
use ieum_eventstore::{Checkpoints, EventStore, Fence};
use tokio::sync::{Notify, Semaphore};

use super::Config;
use super::definitions::Definitions;
use super::index::Index;
use super::presence::Presence;
use crate::port::Participants;
use crate::telemetry::{Counters, Finished};

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) checkpoints: Arc<dyn Checkpoints>,
    pub(super) participants: Arc<dyn Participants>,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) spans: Option<Arc<dyn SpanSink>>,
    pub(super) service: Arc<str>,
    /// The epoch under which everything is written.
    pub(super) fence: Fence,
    pub(super) tasks: Tasks,
    /// Turns to make calls.
    pub(super) permits: Arc<Semaphore>,
    /// Turns to read a saga's stream: a participant that hangs does not hold up a restart.
    pub(super) reading: Semaphore,
    pub(super) presence: Presence,
    pub(super) index: Index,
    pub(super) definitions: Definitions,
    pub(super) counters: Counters,
    pub(super) triggers: super::trigger::Statuses,
    /// Told when a definition was added or changed.
    pub(super) redefined: Notify,
    /// Told when a saga changed.
    pub(super) changed: Notify,
    superseded: AtomicBool,
}

/// What a new [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) deps: super::Deps,
    pub(super) fence: Fence,
    pub(super) tasks: Tasks,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            deps,
            fence,
            tasks,
        } = parts;
        Self {
            permits: Arc::new(Semaphore::new(
                config.concurrency.min(Semaphore::MAX_PERMITS),
            )),
            reading: Semaphore::new(READERS),
            presence: Presence::new(config.participant_concurrency, config.probe.0),
            index: Index::new(config.finished_kept),
            config,
            store: deps.store,
            checkpoints: deps.checkpoints,
            participants: deps.participants,
            clock: deps.clock,
            rng: deps.rng,
            spans: deps.spans,
            service: deps.service,
            fence,
            tasks,
            definitions: Definitions::default(),
            counters: Counters::default(),
            triggers: super::trigger::Statuses::default(),
            redefined: Notify::new(),
            changed: Notify::new(),
            superseded: AtomicBool::new(false),
        }
    }

    /// What participants did before this moment they may have forgotten.
    pub(super) fn forgotten_before(&self) -> Option<Timestamp> {
        let kept = i64::try_from(self.config.participants_remember.0.as_micros()).ok()?;
        let moment = self.clock.now().as_micros().checked_sub(kept)?;
        Some(Timestamp::from_micros(moment))
    }

    /// A later engine works on the log: this one stops everything.
    pub(super) fn give_way(&self) {
        if !self.superseded.swap(true, Ordering::AcqRel) {
            tracing::error!(
                epoch = self.fence.epoch,
                "a later saga engine has taken over; this one stops"
            );
        }
        self.tasks.stop().request();
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    pub(super) fn record(&self, span: Finished) {
        if let Some(sink) = self.spans.as_ref().filter(|_| span.context.sampled) {
            sink.record(span.into_data(&self.service));
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("epoch", &self.fence.epoch)
            .field("open", &self.index.open_count())
            .finish_non_exhaustive()
    }
}

/// How many sagas are read at once when an engine begins.
const READERS: usize = 64;
