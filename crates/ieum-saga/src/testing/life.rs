//! A process that can die at any append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_eventstore::{
    Append, Appended, Checkpoint, Checkpoints, Event, EventStore, Fence, Filter, Head, Lease,
    Leases, Page, Position, Result, StreamName, Version,
};
use tokio::sync::watch;

use crate::port::{Call, CallResult, Participants};

/// Before or after the append that kills the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The append does not happen.
    Before,
    /// The append happens, and nobody learns of it.
    After,
}

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At which append, counted from 1.
    pub at: u64,
    /// On which side of it.
    pub side: Side,
}

/// Whether a process lives. What belongs to a dead one waits for ever, like code after `kill -9`.
#[derive(Clone, Debug)]
pub struct Life(Arc<watch::Sender<bool>>);

impl Life {
    /// A process that lives.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    /// Kills the process.
    pub fn end(&self) {
        self.0.send_replace(false);
    }

    /// Resolves when the process has died.
    pub async fn ended(&self) {
        let mut alive = self.0.subscribe();
        // It cannot fail: this value holds the sender.
        let _alive = alive.wait_for(|alive| !alive).await;
    }

    /// True until the process has died.
    pub fn goes_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Runs `work`, unless the process is dead or dies meanwhile: then it never returns.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.ended() => std::future::pending().await,
            result = work => result,
        }
    }
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

/// A log as a process sees that may die at one of its appends.
#[derive(Clone, Debug)]
pub struct MortalLog<L> {
    log: L,
    life: Life,
    crash: Option<Crash>,
    appends: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl<L> MortalLog<L> {
    /// How many events the process has read through the whole log.
    pub fn events_read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// The same log, for a process that dies at `crash`.
    pub fn new(log: L, life: Life, crash: Option<Crash>) -> Self {
        Self {
            log,
            life,
            crash,
            appends: Arc::default(),
            read: Arc::default(),
        }
    }
}

#[async_trait]
impl<L: EventStore> EventStore for MortalLog<L> {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.life.live(async {}).await;
        let number = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        let side = self
            .crash
            .filter(|crash| crash.at == number)
            .map(|crash| crash.side);
        if side == Some(Side::Before) {
            self.life.end();
        }
        let appended = self.life.live(self.log.append(append)).await;
        if side == Some(Side::After) {
            self.life.end();
        }
        self.life.live(async { appended }).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.life
            .live(self.log.read_stream(stream, after, limit))
            .await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        let read = self.log.read_all(after, filter, limit);
        let page = self.life.live(read).await?;
        let events = u64::try_from(page.events.len()).unwrap_or(u64::MAX);
        self.read.fetch_add(events, Ordering::SeqCst);
        Ok(page)
    }

    async fn head(&self) -> Result<Head> {
        self.life.live(self.log.head()).await
    }

    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        self.life.live(self.log.wait(after, wait)).await
    }
}

#[async_trait]
impl<L: Checkpoints> Checkpoints for MortalLog<L> {
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>> {
        self.life.live(self.log.load(name)).await
    }

    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()> {
        self.life.live(self.log.store(name, expected, to)).await
    }

    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()> {
        let stored = self.log.store_fenced(name, expected, to, fence);
        self.life.live(stored).await
    }
}

#[async_trait]
impl<L: Leases> Leases for MortalLog<L> {
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.life.live(self.log.observe(prefix)).await
    }

    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>> {
        self.life.live(self.log.take(holder, seen)).await
    }

    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>> {
        self.life.live(self.log.renew(held)).await
    }

    async fn release(&self, held: &[Fence]) -> Result<()> {
        self.life.live(self.log.release(held)).await
    }
}

/// Participants as a mortal process calls them.
#[derive(Clone, Debug)]
pub struct MortalParticipants<P>(pub P, pub Life);

#[async_trait]
impl<P: Participants> Participants for MortalParticipants<P> {
    async fn call(&self, call: Call) -> CallResult {
        self.1.live(self.0.call(call)).await
    }

    fn absence(&self, service: &str) -> Option<String> {
        self.0.absence(service)
    }

    fn presence(&self, service: &str) -> u64 {
        self.0.presence(service)
    }

    async fn presence_changed(&self, service: &str, known: u64) -> u64 {
        let changed = self.0.presence_changed(service, known);
        self.1.live(changed).await
    }
}
