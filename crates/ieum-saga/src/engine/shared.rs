//! What the engine's parts share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Rng, Tasks, Timestamp, Uuid};
use ieum_eventstore::{Checkpoints, EventStore, Position, ownership};
use tokio::sync::{Notify, Semaphore, watch};

use super::Config;
use super::commands::Waiting;
use super::definitions::Definitions;
use super::fold::Fold;
use super::layout::Layout;
use super::partition::Partition;
use super::presence::Presence;
use super::right::Right;
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
    /// How the log's sagas are divided.
    pub(super) layout: Layout,
    pub(super) tasks: Tasks,
    /// Turns to make calls.
    pub(super) permits: Arc<Semaphore>,
    /// Turns to read a saga's stream: a participant that hangs does not hold up a restart.
    pub(super) reading: Semaphore,
    pub(super) presence: Presence,
    pub(super) definitions: Definitions,
    pub(super) counters: Counters,
    pub(super) triggers: super::trigger::Statuses,
    /// All sagas of the log, as far as it was read.
    pub(super) fold: Mutex<Fold>,
    /// How far it was read.
    pub(super) followed: watch::Sender<Position>,
    /// Who waits for other platforms to carry commands out.
    pub(super) waiting: Waiting,
    /// Told when a definition was added or changed.
    pub(super) redefined: Notify,
    /// Told when a saga changed.
    pub(super) changed: Notify,
    /// The other platforms of the log; `None` if there are none.
    pub(super) ownership: Option<ownership::Handle>,
    /// The partitions that are owned here. Their tasks hold them.
    partitions: RwLock<Vec<Weak<Partition>>>,
    /// The right of an engine that is alone on its log.
    own_right: OnceLock<Right>,
    superseded: AtomicBool,
}

/// What a new [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) deps: super::Deps,
    pub(super) layout: Layout,
    pub(super) ownership: Option<ownership::Handle>,
    pub(super) tasks: Tasks,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            deps,
            layout,
            ownership,
            tasks,
        } = parts;
        let turns = config.concurrency.min(Semaphore::MAX_PERMITS);
        let partitions = usize::try_from(layout.partitions).unwrap_or(usize::MAX);
        Self {
            permits: Arc::new(Semaphore::new(turns)),
            reading: Semaphore::new(READERS),
            presence: Presence::new(config.participant_concurrency, config.probe.0),
            partitions: RwLock::new((0..partitions).map(|_| Weak::new()).collect()),
            config,
            store: deps.store,
            checkpoints: deps.checkpoints,
            participants: deps.participants,
            clock: deps.clock,
            rng: deps.rng,
            spans: deps.spans,
            service: deps.service,
            layout,
            tasks,
            definitions: Definitions::default(),
            counters: Counters::default(),
            triggers: super::trigger::Statuses::default(),
            fold: Mutex::default(),
            followed: watch::Sender::new(Position::START),
            waiting: Waiting::default(),
            redefined: Notify::new(),
            changed: Notify::new(),
            ownership,
            own_right: OnceLock::new(),
            superseded: AtomicBool::new(false),
        }
    }

    /// True if no other platform works on the log.
    pub(super) const fn is_alone(&self) -> bool {
        self.ownership.is_none()
    }

    /// The right under which an engine that is alone writes what belongs to no saga.
    pub(super) fn own_right(&self) -> Option<&Right> {
        self.own_right.get()
    }

    pub(super) fn set_own_right(&self, right: Right) {
        // It is set once, when the engine is opened.
        let _set = self.own_right.set(right);
    }

    /// The partition of a saga, if it is owned here.
    pub(super) fn partition_of(&self, id: Uuid) -> Option<Arc<Partition>> {
        let partitions = self
            .partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let part = partitions.get(self.layout.partition_of(id))?.upgrade()?;
        (!part.tasks.stop().is_requested()).then_some(part)
    }

    /// The partitions that are owned here.
    pub(super) fn owned(&self) -> Vec<Arc<Partition>> {
        let partitions = self
            .partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        partitions.iter().filter_map(Weak::upgrade).collect()
    }

    /// How many sagas are open: of the whole log, as far as it is known here.
    pub(super) fn open_count(&self) -> usize {
        match self.is_alone() {
            true => self
                .owned()
                .iter()
                .map(|part| part.index.open_count())
                .sum(),
            false => self.fold().open.len(),
        }
    }

    pub(super) fn register(&self, part: &Arc<Partition>) {
        let mut partitions = self
            .partitions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = partitions.get_mut(part.number) {
            *place = Arc::downgrade(part);
        }
    }

    /// What participants did before this moment they may have forgotten.
    pub(super) fn forgotten_before(&self) -> Option<Timestamp> {
        let kept = i64::try_from(self.config.participants_remember.0.as_micros()).ok()?;
        let moment = self.clock.now().as_micros().checked_sub(kept)?;
        Some(Timestamp::from_micros(moment))
    }

    /// A later owner has taken over what was written under `right`: that work stops, and all of it
    /// if this engine thought itself alone.
    pub(super) fn give_way(&self, right: Option<&Right>) {
        if let Some(right) = right {
            right.tenure.refused();
        }
        if !self.is_alone() {
            return;
        }
        if !self.superseded.swap(true, Ordering::AcqRel) {
            tracing::error!("a later saga engine has taken over; this one stops");
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
            .field("partitions", &self.layout.partitions)
            .field("owned", &self.owned().len())
            .finish_non_exhaustive()
    }
}

/// How many sagas are read at once when an engine begins.
const READERS: usize = 64;
