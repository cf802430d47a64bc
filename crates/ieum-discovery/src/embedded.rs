//! The platform's own registry: a fold of the log.
//!
//! Each service has a stream `registry-…`; each change is an event in it and is answered only after
//! the append was durable. The state is never written beside the log: it is what reading the
//! category `registry` yields, at start and after each append, so what a caller sees is what a
//! restart will see. The index of a service is the position of its last event. A heartbeat that
//! changes nothing appends nothing.
//!
//! Several processes may share one log: each follows what the others append, and a decision that
//! was made on an older state loses the race on the stream's version and is made again.

mod judge;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Backoff, Clock, Rng, TaskKind, Tasks, Uuid};
use ieum_eventstore::{
    Append, Event, EventStore, Expect, Fence, Filter, NewEvent, Position, StreamName,
    StreamNameError, Version, Write,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::catalog::{Catalog, Change, External, Limits};
use crate::health::Checked;
use crate::live::Live;
use crate::{
    CheckDefinition, CheckId, Error, ErrorKind, InstanceId, Registration, Result, Snapshot, Status,
};

pub use judge::Judge;

/// The category of the registry's streams.
pub const CATEGORY: &str = "registry";

/// Registrations on the log.
pub struct Registry {
    store: Arc<dyn EventStore>,
    clock: Clock,
    live: Live,
    /// Held from a decision until its events were read back.
    log: Mutex<Reader>,
}

/// How far the log was read.
#[derive(Debug, Default)]
struct Reader {
    position: Position,
    versions: HashMap<StreamName, Version>,
    /// True while an append may have happened that was not read back.
    unsure: bool,
}

impl Registry {
    /// Reads the registrations from `store` and answers a registry that goes on from there.
    ///
    /// # Errors
    /// `Unavailable` if the log cannot be read.
    pub async fn open(
        store: Arc<dyn EventStore>,
        clock: Clock,
        limits: Limits,
    ) -> Result<Arc<Self>> {
        let registry = Self {
            store,
            clock,
            live: Live::new(limits),
            log: Mutex::default(),
        };
        registry.begin().await?;
        Ok(Arc::new(registry))
    }

    /// Reads the log; one without any event gets its first. A service without instances has index
    /// 1, the least that a blocking query can wait on, so no change may ever stand at position 1.
    async fn begin(&self) -> Result<()> {
        let mut log = self.log.lock().await;
        self.catch_up(&mut log).await?;
        if log.position > Position::START {
            return Ok(());
        }
        // Two processes that begin together write the same event, which counts once.
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, OPENED.as_bytes());
        let event = NewEvent::new(id, OPENED, &()).map_err(unwritable)?;
        let stream = StreamName::new(CATEGORY, "%opened").map_err(unnameable)?;
        let append = Append::to(stream, Expect::Any, vec![event]);
        let appended = self.store.append(append).await;
        appended.map_err(|e| unavailable("opening the registry", e))?;
        self.catch_up(&mut log).await
    }

    /// Follows what others append to the log (other processes, and calls that were given up), until
    /// the stop of `tasks`. From then on blocking queries are answered at once.
    pub fn follow(self: &Arc<Self>, tasks: &Tasks) {
        let registry = Arc::clone(self);
        let stop = tasks.stop().clone();
        self.live.answer_all_at(stop.clone());
        tasks.spawn(TaskKind::Background, "registry-follower", async move {
            stop.unless_requested(registry.run_follower()).await;
        });
    }

    /// The log that it is kept on, and the clock of what is written there.
    pub(crate) const fn log(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The catalog as it is now.
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// Registers as Consul does by default: checks that the instance has and the registration does
    /// not mention stay.
    ///
    /// # Errors
    /// As [`register`](crate::Registry::register).
    pub async fn register_merging(&self, registration: Registration) -> Result<()> {
        self.decide(|catalog| catalog.register(catalog.merged(registration.clone())))
            .await?;
        self.live.hear_all(&registration.checks);
        Ok(())
    }

    /// Adds a check to an instance, or replaces the one of the same id.
    ///
    /// # Errors
    /// As [`register`](crate::Registry::register), and `NotFound` if there is no such instance.
    pub async fn register_check(
        &self,
        instance: &InstanceId,
        check: CheckDefinition,
    ) -> Result<()> {
        self.decide(|catalog| catalog.register_check(instance, check.clone()))
            .await?;
        self.live.hear_all(&[check]);
        Ok(())
    }

    /// Removes a check from its instance.
    ///
    /// # Errors
    /// `NotFound` if there is no such check.
    pub async fn deregister_check(&self, check: &CheckId) -> Result<()> {
        self.decide(|catalog| catalog.deregister_check(check)).await
    }

    /// Registers for somebody else: a node, an instance of it, what its checks say.
    ///
    /// # Errors
    /// As [`register`](crate::Registry::register), and `NotFound` if a check is of an instance that
    /// is not there.
    pub async fn register_external(&self, external: &External) -> Result<()> {
        self.decide(|catalog| catalog.register_external(external))
            .await
    }

    /// Removes a node with its instances.
    ///
    /// # Errors
    /// `NotFound` if there is no such node.
    pub async fn deregister_node(&self, name: &str) -> Result<()> {
        self.decide(|catalog| catalog.deregister_node(name)).await
    }

    /// Keeps all instances of the platform's node from being sent work, for a reason; `None` ends
    /// that. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` if the log cannot be written.
    pub async fn maintain_node(&self, reason: Option<String>) -> Result<()> {
        self.decide(|catalog| Ok(catalog.maintain_node(reason.clone())))
            .await
    }

    async fn run_follower(&self) {
        let mut failures = 0;
        loop {
            let read_to = self.log.lock().await.position;
            let followed = self.follow_from(read_to).await;
            let pause = match followed {
                Ok(()) => {
                    failures = 0;
                    FOLLOW_PAUSE
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "the registry cannot follow the log");
                    RECOVER.delay(failures, &Rng::system()).max(FOLLOW_PAUSE)
                }
            };
            self.clock.sleep(pause).await;
        }
    }

    async fn follow_from(&self, position: Position) -> Result<()> {
        let head = self.store.wait(position, FOLLOW_WAIT).await;
        if head
            .map_err(|e| unavailable("waiting for the log", e))?
            .position
            > position
        {
            self.catch_up(&mut *self.log.lock().await).await?;
        }
        Ok(())
    }

    async fn decide(
        &self,
        on: impl Fn(&Catalog) -> Result<Vec<Change>> + Send + Sync,
    ) -> Result<()> {
        self.change(None, || self.live.look(&on)).await
    }

    /// Decides, appends and reads back, as often as somebody else was quicker; under `fence`, if there
    /// is one.
    async fn change(
        &self,
        fence: Option<&Fence>,
        decide: impl Fn() -> Result<Vec<Change>> + Send + Sync,
    ) -> Result<()> {
        let mut log = self.log.lock().await;
        let mut is_fresh = false;
        for _ in 0..MAX_RACES {
            if log.unsure {
                self.catch_up(&mut log).await?;
                is_fresh = true;
            }
            let changes = match decide() {
                // Another process may have registered it a moment ago.
                Err(error) if error.kind() == ErrorKind::NotFound && !is_fresh => {
                    log.unsure = true;
                    continue;
                }
                decided => decided?,
            };
            if changes.is_empty() {
                return Ok(());
            }
            let mut append = self.append_of(&log, &changes)?;
            append.fence = fence.cloned();
            // Until the events were read back, nobody knows: this call may be dropped at any await.
            log.unsure = true;
            match self.store.append(append).await {
                Ok(_) => return self.catch_up(&mut log).await,
                Err(error) if is_lost_race(&error) => {}
                Err(error) => return Err(unavailable("appending a registration", error)),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "too many others change the same service",
        ))
    }

    fn append_of(&self, log: &Reader, changes: &[Change]) -> Result<Append> {
        let mut writes: Vec<Write> = Vec::new();
        for change in changes {
            let stream = match change.service() {
                Some(service) => stream_of(service)?,
                None => StreamName::new(CATEGORY, NODES).map_err(unnameable)?,
            };
            let event =
                NewEvent::new(self.clock.new_id(), type_of(change), change).map_err(|e| {
                    Error::new(ErrorKind::Internal, "writing a registration as JSON").caused_by(e)
                })?;
            match writes.iter_mut().find(|write| write.stream == stream) {
                Some(write) => write.events.push(event),
                None => writes.push(Write {
                    expect: Expect::Version(log.version(&stream)),
                    stream,
                    events: vec![event],
                }),
            }
        }
        Ok(Append {
            writes,
            ..Append::default()
        })
    }

    /// Reads to the head and folds in what is new.
    async fn catch_up(&self, log: &mut Reader) -> Result<()> {
        let filter = Filter::category(CATEGORY);
        loop {
            let page = self
                .store
                .read_all(log.position, &filter, PAGE)
                .await
                .map_err(|e| unavailable("reading the registrations", e))?;
            for event in &page.events {
                log.versions.insert(event.stream.clone(), event.version);
            }
            let read = |event: &Event| Some((event.position.0, change_from(event)?));
            let changes: Vec<_> = page.events.iter().filter_map(read).collect();
            self.live.apply(&changes);
            log.position = page.scanned_to;
            if page.scanned_to >= page.head.position {
                log.unsure = false;
                return Ok(());
            }
        }
    }
}

impl Reader {
    fn version(&self, stream: &StreamName) -> Version {
        self.versions.get(stream).copied().unwrap_or_default()
    }
}

#[async_trait]
impl crate::Registry for Registry {
    async fn register(&self, registration: Registration) -> Result<()> {
        self.decide(|catalog| catalog.register(registration.clone()))
            .await?;
        self.live.hear_all(&registration.checks);
        Ok(())
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        self.decide(|catalog| catalog.deregister(instance)).await
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        self.decide(|catalog| catalog.report(check, status, output))
            .await?;
        self.live.hear(check, output);
        Ok(())
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        Ok(self.live.watch(service, after, wait).await)
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(self.live.look(Catalog::services))
    }
}

#[async_trait]
impl Checked for Registry {
    fn live(&self) -> &Live {
        &self.live
    }

    async fn expire(&self, check: &CheckId, since: Instant, output: &str) -> Result<()> {
        self.change(None, || self.live.expire(check, since, output))
            .await
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("embedded::Registry")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// The stream of a service. A name may have any characters and length, a stream may not: bytes that
/// are not safe are written `%XX`, and what would be too long is named by its hash (UUID version 5)
/// behind a `%` that no written byte has. Different services never share a stream.
fn stream_of(service: &str) -> Result<StreamName> {
    let mut id = String::with_capacity(service.len());
    for byte in service.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => id.push(byte.into()),
            _ => id.push_str(&format!("%{byte:02X}")),
        }
    }
    if id.len() > LONGEST_ID {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, service.as_bytes());
        id = format!("%hash-{hash}");
    }
    StreamName::new(CATEGORY, id).map_err(unnameable)
}

const fn type_of(change: &Change) -> &'static str {
    match change {
        Change::Registered(_) => REGISTERED,
        Change::Deregistered { .. } => DEREGISTERED,
        Change::StatusChanged { .. } => STATUS_CHANGED,
        Change::NodeRegistered(_) => NODE_REGISTERED,
        Change::NodeDeregistered { .. } => NODE_DEREGISTERED,
        Change::Placed { .. } => PLACED,
        Change::NodeMaintenance { .. } => NODE_MAINTENANCE,
    }
}

/// The change that an event tells of; other types, also those of later versions, tell of none. One
/// that cannot be read must not keep all other services from being found: it is reported and passed
/// over.
fn change_from(event: &Event) -> Option<Change> {
    if !TYPES.contains(&event.kind.as_str()) {
        return None;
    }
    event
        .decode()
        .map_err(|error| {
            tracing::error!(
                position = event.position.0, stream = %event.stream, %error,
                "an event of the registry cannot be read; it is passed over"
            );
        })
        .ok()
}

fn is_lost_race(error: &ieum_eventstore::Error) -> bool {
    matches!(
        error.kind(),
        ieum_eventstore::ErrorKind::Conflict { .. }
            | ieum_eventstore::ErrorKind::ConditionFailed { .. }
    )
}

fn unavailable(what: &str, error: ieum_eventstore::Error) -> Error {
    Error::new(ErrorKind::Unavailable, what).caused_by(error)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "writing a registration as JSON").caused_by(error)
}

fn unnameable(error: StreamNameError) -> Error {
    Error::new(ErrorKind::Internal, "naming a service's stream").caused_by(error)
}

/// The types of the registry's events.
const OPENED: &str = "registry.opened";
const REGISTERED: &str = "instance.registered";
const DEREGISTERED: &str = "instance.deregistered";
const STATUS_CHANGED: &str = "check.changed";
const NODE_REGISTERED: &str = "node.registered";
const NODE_DEREGISTERED: &str = "node.deregistered";
const PLACED: &str = "instance.placed";
const NODE_MAINTENANCE: &str = "node.maintenance";

/// Those that tell of a change.
const TYPES: [&str; 7] = [
    REGISTERED,
    DEREGISTERED,
    STATUS_CHANGED,
    NODE_REGISTERED,
    NODE_DEREGISTERED,
    PLACED,
    NODE_MAINTENANCE,
];

/// The stream of the nodes; no service's has this name.
const NODES: &str = "%nodes";

/// How often a decision is made again because another process was quicker.
const MAX_RACES: usize = 16;

/// How many events are read at once.
const PAGE: usize = 512;

/// The longest id of a stream that is not a hash.
const LONGEST_ID: usize = 200;

/// How long the follower waits for the log to grow, and the least time between two looks: the log
/// is shared with everything else, and our own changes are read back at once anyway.
const FOLLOW_WAIT: Duration = Duration::from_secs(60);
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

/// How long to leave a log alone that does not answer.
const RECOVER: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
