//! Events that start sagas.
//!
//! One platform at a time owns the triggers. One task per definition reads its topic from a durable checkpoint. The key of a saga is the
//! source and the id of the event, so that an event that is read again starts nothing again, and
//! the checkpoint moves only when every event before it has started its saga or has become a dead
//! letter. A start that fails is never just a line in a log.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use ieum_base::{Retry, TaskKind, Tasks, Uuid};
use ieum_eventstore::{
    Checkpoint, Event, Expect, Filter, Metadata, NewEvent, Page, Position, StreamName, Version,
    Write,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::STORE_BACKOFF;
use super::right::Right;
use super::shared::Shared;
use super::{Error, ErrorKind, Result, Start};
use crate::definition::Trigger;
use crate::events::{self, TriggerEvent, saga_id};

/// How the trigger of a definition is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerStatus {
    /// The definition.
    pub definition: String,
    /// The topic.
    pub topic: String,
    /// Everything up to here was dealt with.
    pub position: Position,
    /// Why it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How all triggers are doing.
#[derive(Debug, Default)]
pub(super) struct Statuses(Mutex<BTreeMap<String, TriggerStatus>>);

impl Statuses {
    pub(super) fn list(&self) -> Vec<TriggerStatus> {
        let statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.values().cloned().collect()
    }

    /// Another platform knows now.
    fn clear(&self) {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.clear();
    }

    fn set(&self, status: TriggerStatus) {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.insert(status.definition.clone(), status);
    }
}

/// An event that could not start a saga, as it is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter<'a> {
    definition: &'a str,
    key: &'a str,
    why: String,
    event: TriggerEvent,
}

/// The triggers, while this engine owns them.
pub(super) struct Triggers {
    shared: Arc<Shared>,
    right: Right,
    tasks: Tasks,
}

/// One definition's subscription.
struct Subscription<'a> {
    shared: &'a Arc<Shared>,
    right: &'a Right,
    definition: &'a str,
    trigger: Trigger,
    name: String,
    stored: Option<Checkpoint>,
    at: Position,
}

impl Triggers {
    pub(super) fn new(shared: &Arc<Shared>, right: Right) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            tasks: Tasks::new(right.tenure.stop().child()),
            right,
        })
    }

    /// Runs a task per definition that events start, and writes down which sagas are open, until the
    /// lease or the engine ends.
    pub(super) async fn tend(self: Arc<Self>) {
        let shared = &self.shared;
        let engine = shared.tasks.stop().clone();
        // An engine that is alone is never asked to give the right back: its own stop ends this.
        let keep_fold = Arc::clone(shared).keep_fold(self.right.clone());
        let stop = self.tasks.stop().clone();
        self.spawn("saga-snapshot", async move {
            stop.unless_requested(keep_fold).await;
        });
        let mut running = HashSet::new();
        loop {
            for name in shared.definitions.triggered() {
                if running.insert(name.clone()) {
                    let triggers = Arc::clone(&self);
                    let work = async move { triggers.trigger(name).await };
                    self.spawn("saga-trigger", work);
                }
            }
            tokio::select! {
                () = engine.requested() => break,
                () = self.tasks.stop().requested() => break,
                () = shared.redefined.notified() => {}
            }
        }
        tokio::select! {
            () = self.right.tenure.lost().requested() => {}
            _ = self.tasks.shut_down(shared.config.drain.0) => {}
        }
        shared.triggers.clear();
        self.right.tenure.finished();
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let lost = self.right.tenure.lost().clone();
        self.tasks.spawn(TaskKind::Background, name, async move {
            lost.unless_requested(work).await;
        });
    }

    /// Starts a saga for each matching event, until the stop. Nothing is given up: what the log
    /// refuses is tried again, with backoff and in sight.
    async fn trigger(self: &Arc<Self>, definition: String) {
        let shared = &self.shared;
        let stop = self.tasks.stop().clone();
        for failures in 1_u32.. {
            let work = self.follow(&definition);
            let error = match stop.unless_requested(work).await {
                None | Some(Ok(())) => return,
                Some(Err(error)) => error,
            };
            if *error.kind() == ErrorKind::Superseded {
                shared.give_way(Some(&self.right));
                return;
            }
            tracing::error!(definition, %error, "the trigger of a saga stands still");
            let trigger = shared.definitions.trigger(&definition);
            shared.triggers.set(TriggerStatus {
                definition: definition.clone(),
                topic: trigger
                    .map(|(trigger, _)| trigger.topic)
                    .unwrap_or_default(),
                position: Position::START,
                problem: Some(error.to_string()),
            });
            let wait = STORE_BACKOFF.delay(failures, &shared.rng);
            let slept = stop.unless_requested(shared.clock.sleep(wait));
            if slept.await.is_none() {
                return;
            }
        }
    }

    /// Follows the topic that the definition names, and the next one if a new version names another.
    async fn follow(self: &Arc<Self>, definition: &str) -> Result<()> {
        loop {
            let shared = &self.shared;
            let Some((trigger, since)) = shared.definitions.trigger(definition) else {
                // A version without a trigger is current; a later one may have one again.
                shared.clock.sleep(shared.config.sweep.0).await;
                continue;
            };
            let mut subscription =
                Subscription::open(self, definition, trigger.clone(), since).await?;
            let is_current = || {
                let current = shared.definitions.trigger(definition);
                current.is_some_and(|(current, _)| current == trigger)
            };
            while is_current() {
                subscription.advance().await?;
            }
        }
    }
}

impl<'a> Subscription<'a> {
    async fn open(
        owner: &'a Triggers,
        definition: &'a str,
        trigger: Trigger,
        since: Position,
    ) -> Result<Self> {
        let shared = &owner.shared;
        let name = format!("saga-trigger-{definition}-{}", trigger.topic);
        let stored = shared.checkpoints.load(&name).await?;
        Ok(Self {
            // What happened while no version had this trigger starts nothing later.
            at: stored.map_or(since, |checkpoint| checkpoint.position.max(since)),
            shared,
            right: &owner.right,
            definition,
            trigger,
            name,
            stored,
        })
    }

    /// Deals with the next events, or waits for some.
    async fn advance(&mut self) -> Result<()> {
        let filter = Filter {
            categories: vec![self.trigger.topic.clone()],
            types: vec![self.trigger.kind.clone()],
        };
        let page = self.shared.store.read_all(self.at, &filter, PAGE).await?;
        let matching: Vec<&Event> = page
            .events
            .iter()
            .filter(|event| self.wants(event))
            .collect();
        let starts: Vec<_> = matching.iter().map(|event| self.start(event)).collect();
        let mut starts = futures_util::stream::iter(starts).buffer_unordered(AT_ONCE);
        while let Some(started) = starts.next().await {
            started?;
        }
        drop(starts);
        self.move_to(&page, matching.is_empty()).await?;
        self.shared.triggers.set(TriggerStatus {
            definition: self.definition.to_owned(),
            topic: self.trigger.topic.clone(),
            position: self.at,
            problem: None,
        });
        if page.scanned_to >= page.head.position {
            if matching.is_empty() {
                // Every append wakes it, the sagas' own too: look at a batch of them at once.
                self.shared.clock.sleep(LINGER).await;
            }
            self.shared
                .store
                .wait(self.at, self.shared.config.sweep.0)
                .await?;
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        let mut attributes = self.trigger.attributes.iter();
        attributes.all(|(name, value)| event.metadata.other.get(name) == Some(value))
    }

    /// Moves the checkpoint. A stretch without a matching event moves it now and then only: reading
    /// it again costs little, and writing costs a sync.
    async fn move_to(&mut self, page: &Page, nothing_matched: bool) -> Result<()> {
        self.at = page.scanned_to;
        let stored = self
            .stored
            .map_or(Position::START, |stored| stored.position);
        if nothing_matched && self.at.0 - stored.0.min(self.at.0) < STRIDE {
            return Ok(());
        }
        let to = Checkpoint {
            incarnation: page.head.incarnation,
            position: self.at,
        };
        if self.stored == Some(to) {
            return Ok(());
        }
        self.shared
            .checkpoints
            .store_fenced(&self.name, self.stored, to, self.right.fence())
            .await?;
        self.stored = Some(to);
        Ok(())
    }

    /// Starts the saga of one event, or keeps the event as a dead letter.
    async fn start(&self, event: &Event) -> Result<()> {
        let key = key_of(event);
        let place = TriggerEvent {
            stream: event.stream.clone(),
            position: event.position,
            id: event.id,
        };
        for attempt in 1_u32.. {
            let started = match event.decode::<Value>() {
                Ok(input) => {
                    let start = Start {
                        definition: self.definition.to_owned(),
                        key: key.clone(),
                        input,
                        trace: event.metadata.trace_context(),
                    };
                    self.shared.start(start, Some(place.clone())).await
                }
                Err(error) => {
                    let why = error.to_string();
                    Err(Error::new(ErrorKind::InvalidInput, why).caused_by(error))
                }
            };
            match started {
                Ok(_) => return Ok(()),
                Err(error)
                    if *error.kind() == ErrorKind::Unreadable && self.began(&key).await? =>
                {
                    // It was started; that a newer version went on with it is no failed start.
                    tracing::warn!(key, %error, "the saga of an event is left to a newer version");
                    return Ok(());
                }
                Err(error) => match error.retry() {
                    Retry::After(_) if *error.kind() == ErrorKind::Busy => {
                        let wait = STORE_BACKOFF.delay(attempt, &self.shared.rng);
                        self.shared.clock.sleep(wait).await;
                    }
                    Retry::After(_) | Retry::Exhausted => return Err(error),
                    Retry::Never => return self.bury(event, &key, place, &error).await,
                },
            }
        }
        Ok(())
    }

    /// True if the saga of `key` has begun, whoever can read it.
    async fn began(&self, key: &str) -> Result<bool> {
        let id = saga_id(self.definition, key);
        let unnamed = |error: ieum_eventstore::StreamNameError| {
            Error::new(ErrorKind::UnknownSaga, id.to_string()).caused_by(error)
        };
        let stream = events::stream(id).map_err(unnamed)?;
        let first = self.shared.store.read_stream(&stream, Version(0), 1);
        Ok(!first.await?.is_empty())
    }

    /// Keeps an event that can never start its saga, with the reason.
    async fn bury(
        &self,
        event: &Event,
        key: &str,
        place: TriggerEvent,
        error: &Error,
    ) -> Result<()> {
        let unwritable =
            |error: serde_json::Error| Error::new(ErrorKind::Unreadable, error.to_string());
        let stream = StreamName::new(DEAD_LETTERS, self.definition)
            .map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))?;
        let letter = DeadLetter {
            definition: self.definition,
            key,
            why: error.to_string(),
            event: place,
        };
        let name = format!("{}/{key}", self.definition);
        let id = Uuid::new_v5(&event.id, name.as_bytes());
        let event = NewEvent::new(id, START_FAILED, &letter)
            .map_err(unwritable)?
            .with_metadata(Metadata {
                traceparent: event.metadata.traceparent.clone(),
                causation: Some(event.id.to_string()),
                ..Metadata::default()
            });
        let write = Write {
            stream,
            expect: Expect::Any,
            events: vec![event],
        };
        let (right, stop) = (self.right, self.right.tenure.stop());
        let appended = self.shared.append_as(Some(right), stop, vec![write]).await;
        let appended = appended.map_err(|refused| refused.into_error("keeping a dead letter"))?;
        if !appended.duplicate {
            self.shared.counters.dead_letters.add(1);
            tracing::error!(
                definition = self.definition, key, %error,
                "an event cannot start its saga; it is kept as a dead letter"
            );
        }
        Ok(())
    }
}

/// The source and the id of the CloudEvent; of any other event its stream and its id in the log.
/// A source has no spaces, so the two cannot be confused.
fn key_of(event: &Event) -> String {
    let attribute = |name: &str| event.metadata.other.get(name).and_then(Value::as_str);
    match (attribute("source"), attribute("id")) {
        (Some(source), Some(id)) => format!("{source} {id}"),
        _ => format!("{} {}", event.stream, event.id),
    }
}

/// The category of the events that could not start a saga.
pub(super) const DEAD_LETTERS: &str = "saga_deadletter";
/// The type of such an event.
const START_FAILED: &str = "saga.start-failed";
/// How many events are read at once.
const PAGE: usize = 256;
/// How many sagas are started at once, so that their first events share a sync.
const AT_ONCE: usize = 64;
/// How long an event may wait for the next look while appends to other topics come in.
const LINGER: Duration = Duration::from_millis(5);
/// How far the checkpoint may stay behind where nothing matches.
const STRIDE: u64 = 10_000;
