//! The relay as a component.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ieum_base::{Rng, Stop, TaskKind, Tasks};
use tokio::time::Instant;

use super::Config;
use crate::{Error, ErrorKind, Message, OutboxRow, OutboxStore, Publisher, Result};

/// Publishes the rows of one outbox.
#[must_use = "a relay works when it is run or spawned"]
pub struct Service {
    outbox: Arc<dyn OutboxStore>,
    publisher: Arc<dyn Publisher>,
    config: Config,
    rng: Rng,
    counters: Arc<Counters>,
}

/// What others see of a running relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    unsendable: AtomicU64,
    retries: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Handle {
    /// How many rows were published and marked.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// How many rows can never be sent.
    pub fn unsendable(&self) -> u64 {
        self.0.unsendable.load(Ordering::Relaxed)
    }

    /// How many rounds failed and were repeated.
    pub fn retries(&self) -> u64 {
        self.0.retries.load(Ordering::Relaxed)
    }

    /// Why nothing goes out at present, for a health check; `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service {
    /// A relay from `outbox` to `publisher`.
    pub fn new(
        outbox: Arc<dyn OutboxStore>,
        publisher: Arc<dyn Publisher>,
        config: Config,
    ) -> Self {
        Self {
            outbox,
            publisher,
            config,
            rng: Rng::system(),
            counters: Arc::default(),
        }
    }

    /// The same with another source of randomness.
    pub fn with_rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// What others see of the running relay.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.counters))
    }

    /// Runs the relay as an essential task.
    pub fn spawn(self, tasks: &Tasks) -> Handle {
        let handle = self.handle();
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Essential, "outbox relay", self.run(stop));
        handle
    }

    /// Publishes until the stop. What is under way then is finished or dropped; a dropped row is
    /// published again by the next relay.
    pub async fn run(self, stop: Stop) {
        stop.unless_requested(self.run_for_ever()).await;
    }

    async fn run_for_ever(&self) {
        let mut away = Away::default();
        let mut failures = 0;
        loop {
            match self.round_of(&mut away).await {
                Ok(sent) => {
                    failures = 0;
                    self.note(away.trouble());
                    match away.next_try() {
                        None if sent == 0 => self.outbox.changed(self.config.poll.0).await,
                        // The rows of a topic that is away are always there: they would be found at
                        // once, and again. Those of others are looked for in between.
                        Some(next) if sent == 0 => {
                            let soon = Instant::now() + self.config.first_pause.0;
                            tokio::time::sleep_until(next.min(soon)).await;
                        }
                        _ => {}
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.counters.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, failures, "the outbox cannot be read; again");
                    self.note(Some(error.to_string()));
                    let pause = self.config.backoff().delay(failures, &self.rng);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Reads rows, publishes them topic by topic, marks them; answers how many were dealt with. A
    /// topic that fails does not keep the others from being tried.
    pub async fn round(&self) -> Result<usize> {
        let mut away = Away::default();
        let sent = self.round_of(&mut away).await?;
        match away.0.into_values().next() {
            Some(failing) => Err(failing.error),
            None => Ok(sent),
        }
    }

    /// The same for the topics that are not `away`, or are due to be tried again.
    async fn round_of(&self, away: &mut Away) -> Result<usize> {
        let besides = away.not_due();
        let limit = self.config.batch.max(1);
        let rows = self.outbox.pending_besides(&besides, limit).await?;
        let mut topics: BTreeMap<String, Rows> = BTreeMap::new();
        for row in rows {
            let OutboxRow { id, topic, message } = row;
            let rows = topics.entry(topic).or_default();
            rows.ids.push(id);
            rows.messages.push(message);
        }
        let mut sent = 0;
        for (topic, rows) in topics {
            match self.send(&topic, &rows).await {
                Ok(()) => {
                    sent += rows.ids.len();
                    away.0.remove(&topic);
                }
                Err(error) => self.put_off(away, topic, error),
            }
        }
        Ok(sent)
    }

    fn put_off(&self, away: &mut Away, topic: String, error: Error) {
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        let failures = away.0.get(&topic).map_or(0, |known| known.failures) + 1;
        tracing::warn!(topic, %error, failures, "the outbox relay tries again");
        let pause = self.config.backoff().delay(failures, &self.rng);
        let failing = Failing {
            failures,
            next_try: Instant::now() + pause,
            error,
        };
        away.0.insert(topic, failing);
    }

    /// Publishes rows of one topic. If the broker refuses them for ever, each is tried alone, so
    /// that only the one at fault is marked.
    async fn send(&self, topic: &str, rows: &Rows) -> Result<()> {
        match self.publisher.publish(topic, &rows.messages).await {
            Ok(()) => return self.mark_sent(&rows.ids).await,
            Err(error) if error.kind() != ErrorKind::Invalid => return Err(error),
            Err(error) => tracing::debug!(topic, %error, "publishing row by row"),
        }
        for (id, message) in rows.ids.iter().zip(&rows.messages) {
            match self
                .publisher
                .publish(topic, std::slice::from_ref(message))
                .await
            {
                Ok(()) => self.mark_sent(&[*id]).await?,
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    self.mark_unsendable(*id, topic, message, &error).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn mark_sent(&self, ids: &[i64]) -> Result<()> {
        self.outbox.mark_sent(ids).await?;
        self.counters
            .sent
            .fetch_add(ids.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn mark_unsendable(
        &self,
        id: i64,
        topic: &str,
        message: &Message,
        error: &Error,
    ) -> Result<()> {
        self.outbox.mark_unsendable(id, &error.to_string()).await?;
        self.counters.unsendable.fetch_add(1, Ordering::Relaxed);
        let kind = &message.kind;
        tracing::error!(row = id, topic, kind, %error, "a row of the outbox can never be sent");
        Ok(())
    }

    fn note(&self, trouble: Option<String>) {
        let mut noted = self
            .counters
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *noted = trouble;
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("config", &self.config)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// The topics that take nothing at present, each with a backoff of its own.
#[derive(Default)]
struct Away(BTreeMap<String, Failing>);

struct Failing {
    failures: u32,
    next_try: Instant,
    error: Error,
}

impl Away {
    fn not_due(&self) -> Vec<String> {
        let now = Instant::now();
        let waiting = self.0.iter().filter(|(_, failing)| failing.next_try > now);
        waiting.map(|(topic, _)| topic.clone()).collect()
    }

    fn next_try(&self) -> Option<Instant> {
        self.0.values().map(|failing| failing.next_try).min()
    }

    fn trouble(&self) -> Option<String> {
        let (topic, failing) = self.0.iter().next()?;
        Some(format!("{topic}: {}", failing.error))
    }
}

/// The rows of one topic, in id order.
#[derive(Default)]
struct Rows {
    ids: Vec<i64>,
    messages: Vec<Message>,
}
