//! The log in memory: the reference for what an engine promises, and the engine of tests and demos.
//!
//! One mutex guards everything, so that every operation is one step. Nothing survives the process;
//! "durable at return" holds as long as the process does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Clock, Uuid};
use tokio::sync::watch;

use crate::rules::Recorded;
use crate::{
    Append, Appended, Checkpoint, Checkpoints, Error, ErrorKind, Event, EventStore, Fence, Fences,
    Filter, Head, Lease, Leases, NewEvent, Page, Position, Result, StreamName, Version, lease,
};

/// A log in memory. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    head: watch::Sender<Position>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    incarnation: Uuid,
    events: Vec<Event>,
    streams: HashMap<StreamName, Vec<usize>>,
    ids: HashMap<Uuid, usize>,
    leases: BTreeMap<String, Lease>,
    checkpoints: HashMap<String, Checkpoint>,
}

impl Store {
    /// An empty log on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty log whose events are recorded at `clock`'s time.
    pub fn with_clock(clock: Clock) -> Self {
        let state = State {
            incarnation: clock.new_id(),
            events: Vec::new(),
            streams: HashMap::new(),
            ids: HashMap::new(),
            leases: BTreeMap::new(),
            checkpoints: HashMap::new(),
        };
        Self(Arc::new(Shared {
            clock,
            head: watch::Sender::new(Position::START),
            state: Mutex::new(state),
        }))
    }

    /// Begins another incarnation, as restoring a backup does: stored checkpoints become foreign.
    pub fn begin_incarnation(&self) -> Uuid {
        let id = self.0.clock.new_id();
        self.lock().incarnation = id;
        id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl EventStore for Store {
    async fn append(&self, append: Append) -> Result<Appended> {
        append.check()?;
        let mut state = self.lock();
        state.check_fence(append.fence.as_ref())?;
        if let Some(first_time) = append.settle(|id| Ok::<_, Error>(state.recorded(id)))? {
            return Ok(first_time);
        }
        state.check_expectations(&append)?;
        let appended = state.write(append, &self.0.clock);
        let head = state.head().position;
        drop(state);
        self.0
            .head
            .send_if_modified(|seen| std::mem::replace(seen, head.max(*seen)) < head);
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let state = self.lock();
        let Some(places) = state.streams.get(stream) else {
            return Ok(Vec::new());
        };
        let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
        let limit = limit.min(Page::MAX_EVENTS);
        let wanted = places.iter().skip(skip).take(limit);
        Ok(wanted.map(|&place| state.events[place].clone()).collect())
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        let state = self.lock();
        let head = state.head();
        head.accept_position(after)?;
        let limit = limit.min(Page::MAX_EVENTS);
        let first = usize::try_from(after.0).unwrap_or(usize::MAX);
        let mut events = Vec::new();
        let mut scanned_to = after;
        for event in state.events.iter().skip(first) {
            if events.len() == limit {
                break;
            }
            scanned_to = event.position;
            if filter.matches(event) {
                events.push(event.clone());
            }
        }
        Ok(Page {
            events,
            scanned_to,
            head,
        })
    }

    async fn head(&self) -> Result<Head> {
        Ok(self.lock().head())
    }

    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        self.lock().head().accept_position(after)?;
        let mut head = self.0.head.subscribe();
        // A timeout is an answer here, and the sender lives as long as `self`.
        let _ = tokio::time::timeout(wait, head.wait_for(|head| *head > after)).await;
        self.head().await
    }
}

#[async_trait]
impl Checkpoints for Store {
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>> {
        let state = self.lock();
        let stored = state.checkpoints.get(name).copied();
        if let Some(checkpoint) = stored {
            state.head().accept(checkpoint)?;
        }
        Ok(stored)
    }

    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()> {
        self.lock().move_checkpoint(name, expected, to)
    }

    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()> {
        let mut state = self.lock();
        state.check_fence(Some(fence))?;
        state.move_checkpoint(name, expected, to)
    }
}

#[async_trait]
impl Fences for Store {
    async fn raise(&self, name: &str) -> Result<Fence> {
        Ok(self.lock().raise(name, None))
    }
}

#[async_trait]
impl Leases for Store {
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>> {
        let state = self.lock();
        let from = state.leases.range(prefix.to_owned()..);
        let begun = from.map(|(_, lease)| lease);
        let found = begun.take_while(|lease| lease.name.starts_with(prefix));
        Ok(found.take(Lease::MOST).cloned().collect())
    }

    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>> {
        lease::check_names(holder, seen.iter().map(|lease| &*lease.name))?;
        let mut state = self.lock();
        let mut taken = Vec::with_capacity(seen.len());
        for lease in seen {
            let now = state.leases.get(&lease.name);
            let (epoch, renewals) = now.map_or((0, 0), |now| (now.epoch, now.renewals));
            if (epoch, renewals) == (lease.epoch, lease.renewals) {
                taken.push(state.raise(&lease.name, Some(holder)));
            }
        }
        Ok(taken)
    }

    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>> {
        let mut state = self.lock();
        let mut renewed = Vec::with_capacity(held.len());
        for fence in held {
            if let Some(lease) = state.held(fence) {
                lease.renewals += 1;
                renewed.push(fence.clone());
            }
        }
        Ok(renewed)
    }

    async fn release(&self, held: &[Fence]) -> Result<()> {
        let mut state = self.lock();
        for fence in held {
            if state.held(fence).is_some() {
                state.raise(&fence.name, None);
            }
        }
        Ok(())
    }
}

impl State {
    fn head(&self) -> Head {
        Head {
            incarnation: self.incarnation,
            position: Position(self.events.len() as u64),
        }
    }

    fn version(&self, stream: &StreamName) -> Version {
        Version(self.streams.get(stream).map_or(0, Vec::len) as u64)
    }

    fn recorded(&self, id: Uuid) -> Option<Recorded> {
        let event = &self.events[*self.ids.get(&id)?];
        Some(Recorded {
            stream: event.stream.as_str().to_owned(),
            kind: event.kind.clone(),
            position: event.position,
            version: event.version,
        })
    }

    fn move_checkpoint(
        &mut self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
    ) -> Result<()> {
        self.head().accept(to)?;
        let stored = self.checkpoints.get(name).copied();
        if stored != expected {
            let actual = stored.map_or(0, |checkpoint| checkpoint.position.0);
            let context = format!("checkpoint `{name}` was moved to {actual} by another reader");
            return Err(Error::new(ErrorKind::Fenced { actual }, context));
        }
        self.checkpoints.insert(name.to_owned(), to);
        Ok(())
    }

    /// Begins the next epoch of `name`, under `holder`.
    fn raise(&mut self, name: &str, holder: Option<&str>) -> Fence {
        let lease = self.leases.entry(name.to_owned());
        let lease = lease.or_insert_with(|| Lease::untaken(name));
        lease.epoch += 1;
        lease.holder = holder.map(str::to_owned);
        lease.fence()
    }

    /// The lease of `fence`, if its epoch holds.
    fn held(&mut self, fence: &Fence) -> Option<&mut Lease> {
        let lease = self.leases.get_mut(&fence.name)?;
        (lease.epoch == fence.epoch).then_some(lease)
    }

    fn check_fence(&self, fence: Option<&Fence>) -> Result<()> {
        let Some(fence) = fence else { return Ok(()) };
        let actual = self.leases.get(&fence.name).map_or(0, |lease| lease.epoch);
        if actual == fence.epoch {
            return Ok(());
        }
        let context = format!("writing as `{}` in epoch {}", fence.name, fence.epoch);
        Err(Error::new(ErrorKind::Fenced { actual }, context))
    }

    fn check_expectations(&self, append: &Append) -> Result<()> {
        for write in &append.writes {
            let actual = self.version(&write.stream);
            if !write.expect.admits(actual) {
                let stream = write.stream.clone();
                let kind = ErrorKind::Conflict { stream, actual };
                return Err(Error::new(kind, format!("expected {:?}", write.expect)));
            }
        }
        let Some(condition) = &append.condition else {
            return Ok(());
        };
        self.head().accept_position(condition.after)?;
        let beyond = usize::try_from(condition.after.0).unwrap_or(usize::MAX);
        let mut later = self.events.iter().skip(beyond);
        later
            .find(|event| condition.is_broken_by(event))
            .map_or(Ok(()), |event| {
                let found = event.position;
                let context = format!("append if no event has tags {:?}", condition.tags);
                Err(Error::new(ErrorKind::ConditionFailed { found }, context))
            })
    }

    fn write(&mut self, append: Append, clock: &Clock) -> Appended {
        let mut versions = Vec::with_capacity(append.writes.len());
        for write in append.writes {
            for event in write.events {
                self.push(&write.stream, event, clock);
            }
            versions.push((write.stream.clone(), self.version(&write.stream)));
        }
        Appended {
            position: self.head().position,
            versions,
            duplicate: false,
        }
    }

    fn push(&mut self, stream: &StreamName, event: NewEvent, clock: &Clock) {
        let place = self.events.len();
        let version = Version(self.version(stream).0 + 1);
        self.ids.insert(event.id, place);
        self.streams.entry(stream.clone()).or_default().push(place);
        self.events.push(Event {
            position: Position(place as u64 + 1),
            stream: stream.clone(),
            version,
            id: event.id,
            kind: event.kind,
            data: event.data,
            metadata: event.metadata,
            tags: event.tags,
            recorded_at: clock.now(),
        });
    }
}
