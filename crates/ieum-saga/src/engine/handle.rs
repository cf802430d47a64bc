//! The way to talk to a running engine.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::trace::TraceContext;
use ieum_base::{TaskKind, Timestamp, Uuid};
use ieum_eventstore::{Expect, ownership};
use serde_json::Value;
use tokio::sync::oneshot;

use super::commands::{Obeyed, Order};
use super::definitions::{Defined, DefinitionSummary};
use super::index::{Stalled, Summary};
use super::shared::Shared;
use super::trigger::TriggerStatus;
use super::writer::{Refused, read_saga};
use super::{Error, ErrorKind, Result};
use crate::definition::{Definition, Plan};
use crate::events::{Fact, Recorded, Started, TracePlace, TriggerEvent, saga_id, stream};
use crate::state::{State, Status};
use crate::telemetry::Counts;
use crate::view::SagaView;

/// Talks to the engine. Clones talk to the same one.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// Which saga to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// The name of the definition.
    pub definition: String,
    /// The caller's key: the same key starts the same saga, once. 1 to 512 bytes.
    pub key: String,
    /// What templates call `input`.
    pub input: Value,
    /// The request that starts it.
    pub trace: Option<TraceContext>,
}

/// A saga was started, or had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its id.
    pub id: Uuid,
    /// False if the key had started it before.
    pub created: bool,
}

/// Which sagas to list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// With this status.
    pub status: Option<Status>,
    /// Of this definition.
    pub definition: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// What a saga's task is told.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) order: Order,
    /// The event with which another platform asked for it.
    pub(super) asked: Option<Uuid>,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

impl Handle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Starts a saga. Idempotent by definition and key: the append decides. Durable at return.
    /// Dropping the future does not undo it.
    pub async fn start(&self, start: Start) -> Result<Receipt> {
        let shared = Arc::clone(&self.0);
        self.detached("saga-start", async move { shared.start(start, None).await })
            .await
    }

    /// Stores a definition. Idempotent: the current version again changes nothing. Sagas in flight
    /// keep the version that they were started with.
    pub async fn define(&self, definition: Definition) -> Result<Defined> {
        let shared = Arc::clone(&self.0);
        self.detached(
            "saga-define",
            async move { shared.define(definition).await },
        )
        .await
    }

    /// The definitions, by name.
    pub fn definitions(&self) -> Vec<DefinitionSummary> {
        self.0.definitions.list()
    }

    /// One saga with its steps and its history, read from the log.
    pub async fn get(&self, id: Uuid) -> Result<SagaView> {
        let facts = read_saga(&self.0.store, id).await?;
        let plan = self.0.plan_of(id, &facts)?;
        SagaView::new(id, &facts, &plan).map_err(|error| {
            let context = format!("saga {id}: {error}");
            Error::new(ErrorKind::Unreadable, context).caused_by(error)
        })
    }

    /// The open sagas and the last finished ones, of all platforms, the latest first. At which step a
    /// saga is only its owner tells, and what happened elsewhere is seen a moment later.
    pub fn list(&self, list: &List) -> Vec<Summary> {
        self.0.list(list)
    }

    /// Asks for a saga to be undone. Durable at return. Refused with `TooLate` from the pivot on;
    /// a saga that is going backward already is left to it. A saga of another platform is told by it;
    /// the answer says whether it was in time.
    pub async fn cancel(&self, id: Uuid, reason: impl Into<String>) -> Result<Obeyed> {
        let reason = reason.into();
        self.tell(id, Order::Cancel { reason }).await
    }

    /// Lets a parked saga go on, in the direction that it had. Durable at return.
    ///
    /// A step that certainly had no effect is called under a new key, for under the old one its
    /// participant would repeat its answer. So is a step that was refused at the pivot or behind it.
    pub async fn resume(&self, id: Uuid, reason: impl Into<String>) -> Result<Obeyed> {
        let reason = reason.into();
        self.tell(id, Order::Resume { reason }).await
    }

    /// Ends the wait before a saga's next attempt.
    pub async fn retry_now(&self, id: Uuid) -> Result<Obeyed> {
        self.tell(id, Order::RetryNow).await
    }

    /// The open sagas that are owned here and that nothing will move: it must be empty.
    pub fn liveness(&self) -> Vec<Stalled> {
        let owned = self.0.owned();
        let stalled = owned.iter().flat_map(|part| part.index.stalled());
        let mut stalled: Vec<Stalled> = stalled.collect();
        stalled.sort_by_key(|stalled| stalled.saga.started_at);
        stalled
    }

    /// Who shares the log, and who owns which partition; `None` if this engine is alone on it.
    pub fn ownership(&self) -> Option<ownership::View> {
        self.0.ownership.as_ref().map(ownership::Handle::view)
    }

    /// How the event triggers are doing.
    pub fn triggers(&self) -> Vec<TriggerStatus> {
        self.0.triggers.list()
    }

    /// What was counted since the engine was opened.
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }

    /// How many sagas are open that are owned here: over all platforms of a log they add up.
    pub fn open_count(&self) -> usize {
        let owned = self.0.owned();
        owned.iter().map(|part| part.index.open_count()).sum()
    }

    /// How many of these have this status.
    pub fn count(&self, status: Status) -> usize {
        let owned = self.0.owned();
        owned.iter().map(|part| part.index.count(status)).sum()
    }

    /// True once a later engine has taken over a log on which this one was alone: it does nothing any
    /// more.
    pub fn is_superseded(&self) -> bool {
        self.0.is_superseded()
    }

    /// Waits until a saga has ended or is parked, and answers its status. Never, if it never does:
    /// bound it.
    pub async fn settled(&self, id: Uuid) -> Result<Status> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self
                .0
                .partition_of(id)
                .and_then(|part| part.index.status(id))
            {
                Some(status) if is_settled(status) => return Ok(status),
                Some(_) => changed.await,
                None => {
                    let status = self.get(id).await?.summary.status;
                    if self.0.is_alone() || is_settled(status) {
                        return Ok(status);
                    }
                    // Not everything that another platform does is told here: look now and then.
                    let _ = tokio::time::timeout(LOOK, changed).await;
                }
            }
        }
    }

    /// Runs `work` to its end even if the caller goes away in the middle of it: half a start would
    /// be a saga in the log that no task runs.
    async fn detached<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        if self.0.tasks.stop().is_requested() {
            return Err(self.gone());
        }
        self.0.tasks.spawn(TaskKind::Request, name, async move {
            // Nobody may be waiting any more.
            let _gone = reply.send(work.await);
        });
        answer.await.map_err(|_| self.gone())?
    }

    /// Tells a saga's task, if it runs here; otherwise its owner, through the log.
    async fn tell(&self, id: Uuid, order: Order) -> Result<Obeyed> {
        let part = self.0.partition_of(id);
        if let Some(mailbox) = part.and_then(|part| part.index.mailbox(id)) {
            let (reply, answer) = oneshot::channel();
            let command = Command {
                order: order.clone(),
                asked: None,
                reply,
            };
            let sent = mailbox.send(command).await.is_ok();
            match if sent { answer.await.ok() } else { None } {
                Some(result) => return result.map(|()| Obeyed::Done),
                None if self.0.is_alone() => return Err(self.gone()),
                // It ended, or its partition was given away: ask whoever has it.
                None => {}
            }
        }
        if !self.get(id).await?.summary.status.is_open() {
            return Err(Error::new(ErrorKind::Ended, id.to_string()));
        }
        if self.0.is_alone() {
            return Err(self.gone());
        }
        self.0.ask(id, order).await
    }

    fn gone(&self) -> Error {
        let kind = if self.0.is_superseded() {
            ErrorKind::Superseded
        } else {
            ErrorKind::Stopping
        };
        Error::new(kind, "the saga engine is gone")
    }
}

impl Shared {
    /// Starts a saga; its first event is its only claim on its id.
    pub(super) async fn start(
        self: &Arc<Self>,
        start: Start,
        trigger: Option<TriggerEvent>,
    ) -> Result<Receipt> {
        let plan = self.current_plan(&start.definition).await?;
        let plan = plan.ok_or_else(|| {
            let name = start.definition.chars().take(100).collect::<String>();
            Error::new(ErrorKind::UnknownDefinition, name)
        })?;
        self.check_start(&start, &plan)?;
        let id = saga_id(&start.definition, &start.key);
        let first = self.first_fact(&plan, start, trigger);
        let state = State::begin(id, &first, &plan)
            .map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))?;
        let missing = plan.missing_input(&state);
        if !missing.is_empty() {
            let context = format!("the input has no value for {}", missing.join(", "));
            return Err(Error::new(ErrorKind::InvalidInput, context));
        }
        match self.append_first(id, &first, &state.started).await? {
            true => {
                self.counters.started.add(1);
                // Elsewhere its owner learns of it by following the log.
                if let Some(part) = self.partition_of(id) {
                    part.adopt(Summary::of(&state), Some((plan, state)));
                }
                Ok(Receipt { id, created: true })
            }
            false => self.repeated(id, &state.started).await,
        }
    }

    fn check_start(&self, start: &Start, plan: &Plan) -> Result<()> {
        if start.key.is_empty() || start.key.len() > MAX_KEY {
            let context = format!("a key has 1 to {MAX_KEY} bytes");
            return Err(Error::new(ErrorKind::InvalidInput, context));
        }
        let actual = start.input.to_string().len();
        let limit = self.config.max_input();
        if actual > limit {
            let kind = ErrorKind::TooLarge { actual, limit };
            return Err(Error::new(kind, plan.name()));
        }
        if self.open_count() >= self.config.max_open {
            return Err(Error::new(ErrorKind::Busy, plan.name()));
        }
        Ok(())
    }

    fn first_fact(&self, plan: &Plan, start: Start, trigger: Option<TriggerEvent>) -> Recorded {
        let sampled = self.spans.is_some();
        let span = match &start.trace {
            Some(parent) => parent.child(&self.rng),
            None => TraceContext::root(&self.rng, sampled),
        };
        let started = Started {
            definition: start.definition,
            hash: plan.hash(),
            key: start.key,
            input: start.input,
            deadline: plan.definition().deadline.unwrap_or(self.config.deadline),
            trace: TracePlace {
                span: span.to_traceparent(),
                state: span.state.as_deref().map(str::to_owned),
                parent: start.trace.map(|parent| parent.to_traceparent()),
            },
            trigger,
        };
        Recorded {
            at: self.clock.now(),
            fact: Fact::Started(Box::new(started)),
        }
    }

    /// True if this append began the saga, false if an earlier one had.
    async fn append_first(&self, id: Uuid, first: &Recorded, started: &Started) -> Result<bool> {
        let unwritable = |error| Error::new(ErrorKind::Unreadable, "not JSON").caused_by(error);
        let name =
            stream(id).map_err(|error| Error::new(ErrorKind::UnknownSaga, error.to_string()))?;
        let metadata = ieum_eventstore::Metadata {
            traceparent: Some(started.trace.span.clone()),
            correlation: Some(id.to_string()),
            ..ieum_eventstore::Metadata::default()
        };
        // The id follows from the saga alone: whoever starts it writes the same event.
        let event_id = Uuid::new_v5(&id, b"started");
        let event = first.to_event(event_id, metadata).map_err(unwritable)?;
        match self.append(name, Expect::NoStream, vec![event]).await {
            Ok(appended) => Ok(!appended.duplicate),
            Err(Refused::Conflict) => Ok(false),
            Err(refused) => Err(refused.into_error("starting a saga")),
        }
    }

    /// The key has started a saga before: with the same input it is the same request. It is also
    /// made sure that somebody runs it, in case the earlier request never heard of its success.
    async fn repeated(self: &Arc<Self>, id: Uuid, started: &Started) -> Result<Receipt> {
        let facts = read_saga(&self.store, id).await?;
        let earlier = match facts.first() {
            Some(Recorded {
                fact: Fact::Started(earlier),
                ..
            }) => earlier,
            _ => return Err(Error::new(ErrorKind::UnknownSaga, id.to_string())),
        };
        if earlier.input != started.input {
            return Err(Error::new(ErrorKind::KeyReused, started.key.clone()));
        }
        let ended = facts
            .iter()
            .any(|recorded| matches!(recorded.fact, Fact::Completed | Fact::Compensated));
        if let Some(part) = self.partition_of(id).filter(|_| !ended) {
            let at = facts.first().map_or(Timestamp::default(), |first| first.at);
            part.adopt(Summary::begun(id, earlier, at), None);
        }
        Ok(Receipt { id, created: false })
    }

    /// The plan to which a saga is pinned.
    pub(super) fn plan_of(&self, id: Uuid, facts: &[Recorded]) -> Result<Arc<Plan>> {
        match facts.first() {
            Some(Recorded {
                fact: Fact::Started(started),
                ..
            }) => self.definitions.pinned(started.hash).ok_or_else(|| {
                let context = format!(
                    "saga {id} needs version {} of `{}`, which this engine cannot read",
                    started.hash, started.definition
                );
                Error::new(ErrorKind::Unreadable, context)
            }),
            _ => Err(Error::new(ErrorKind::UnknownSaga, id.to_string())),
        }
    }

    fn list(&self, list: &List) -> Vec<Summary> {
        let wanted = |summary: &Summary| {
            let definition = list.definition.as_ref();
            list.status.is_none_or(|status| summary.status == status)
                && definition.is_none_or(|name| *name == summary.definition)
        };
        let place = |summary: &Summary| (Reverse(summary.started_at), summary.id);
        let owned = self.owned();
        let here = owned.iter().map(|part| part.index.list(list.limit, wanted));
        let mut found: Vec<Summary> = here.flatten().collect();
        if !self.is_alone() {
            // Of what is owned here the partition knows more than the log said last.
            let numbers: HashSet<usize> = owned.iter().map(|part| part.number).collect();
            let known: HashSet<Uuid> = found.iter().map(|summary| summary.id).collect();
            let fold = self.fold();
            let elsewhere =
                |summary: &&Summary| !numbers.contains(&self.layout.partition_of(summary.id));
            let open = fold.open.values().filter(elsewhere);
            let unknown = |summary: &&Summary| wanted(summary) && !known.contains(&summary.id);
            let others = open.chain(&fold.finished).filter(unknown);
            let mut others: Vec<&Summary> = others.collect();
            // Only those that are answered are put in order and copied: this holds the lock.
            if list.limit < others.len() {
                others.select_nth_unstable_by_key(list.limit, |summary| place(summary));
                others.truncate(list.limit);
            }
            found.extend(others.into_iter().cloned());
        }
        found.sort_unstable_by_key(place);
        found.truncate(list.limit);
        found
    }
}

fn is_settled(status: Status) -> bool {
    !status.is_open() || status == Status::Parked
}

/// The longest key, in bytes.
const MAX_KEY: usize = 512;
/// How often a saga of another platform is looked at by who waits for it.
const LOOK: Duration = Duration::from_millis(500);
/// How many commands wait for one saga's task.
pub(super) const MAILBOX: usize = 8;
