//! The way of one signal to one destination: a bounded queue, batches, retries, an end.
//!
//! Offering an item is one `try_send`. What does not fit is dropped and counted: telemetry never
//! slows or stops the work that it describes. The worker runs outside of any trace, so its own
//! requests are not traced, or they would beget spans for ever.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Backoff, Rng, Stop, TaskKind, Tasks};
use prometheus_client::metrics::counter::Counter;
use prost::Message;
use serde::Serialize;
use tokio::sync::mpsc;

use super::settings::{Destination, Queue};
use super::transport::{Transport, Verdict};

/// What became of the items of one way.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) exported: Counter,
    pub(super) overflowed: Counter,
    pub(super) refused: Counter,
}

/// Turns a batch into a message.
pub(super) trait Encode: Send + 'static {
    type Item: Send + 'static;
    type Message: Message + Serialize + 'static;

    fn encode(&self, items: &[Self::Item]) -> Self::Message;

    /// How many things an item counts for.
    fn weight(&self, _item: &Self::Item) -> u64 {
        1
    }
}

/// The near end of a queue.
pub(super) struct Way<T> {
    queue: mpsc::Sender<T>,
    pub(super) figures: Figures,
    closing: Stop,
    pub(super) flushed: Stop,
}

impl<T> Clone for Way<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            figures: self.figures.clone(),
            closing: self.closing.clone(),
            flushed: self.flushed.clone(),
        }
    }
}

impl<T: Send + 'static> Way<T> {
    /// Starts the worker on the current runtime. It ends when `closing` is requested and all that
    /// waited was sent or given up.
    pub(super) fn start<E: Encode<Item = T>>(
        to: Destination,
        encode: E,
        figures: Figures,
        closing: Stop,
        tasks: &Tasks,
    ) -> Self {
        let (queue, items) = mpsc::channel(to.queue.items.max(1));
        let flushed = Stop::new();
        let worker = Worker {
            queue: to.queue,
            place: Arc::from(to.target.authority()),
            transport: Transport::new(to, tasks.clone()),
            encode,
            figures: figures.clone(),
            closing: closing.clone(),
            rng: Rng::system(),
        };
        let done = flushed.clone();
        tasks.spawn(TaskKind::Background, "telemetry-exporter", async move {
            worker.run(items).await;
            done.request();
        });
        Self {
            queue,
            figures,
            closing,
            flushed,
        }
    }

    /// Offers an item.
    pub(super) fn offer(&self, item: T) {
        if self.closing.is_requested() || self.queue.try_send(item).is_err() {
            self.figures.overflowed.inc();
        }
    }
}

struct Worker<E: Encode> {
    queue: Queue,
    /// The peer, for the log.
    place: Arc<str>,
    transport: Transport,
    encode: E,
    figures: Figures,
    closing: Stop,
    rng: Rng,
}

impl<E: Encode> Worker<E> {
    async fn run(mut self, mut items: mpsc::Receiver<E::Item>) {
        let closing = self.closing.clone();
        let (limit, interval) = (self.queue.batch.max(1), self.queue.interval);
        let mut batch = Vec::new();
        while closing
            .unless_requested(fill(&mut items, &mut batch, limit, interval))
            .await
            .is_some()
        {
            self.send(&mut batch).await;
        }
        // A fill that was interrupted left its items in the batch.
        items.close();
        loop {
            while batch.len() < limit
                && let Ok(item) = items.try_recv()
            {
                batch.push(item);
            }
            if batch.is_empty() {
                return;
            }
            self.send(&mut batch).await;
        }
    }

    async fn send(&mut self, batch: &mut Vec<E::Item>) {
        if batch.is_empty() {
            return;
        }
        let count: u64 = batch.iter().map(|item| self.encode.weight(item)).sum();
        let message = self.encode.encode(batch);
        batch.clear();
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        for attempt in 1..=self.queue.attempts.max(1) {
            match self.transport.send(&message).await {
                Verdict::Taken { rejected } => {
                    let rejected = rejected.min(count);
                    self.figures.exported.inc_by(count - rejected);
                    self.figures.refused.inc_by(rejected);
                    return;
                }
                Verdict::Never => break,
                Verdict::Later(asked) if attempt < self.queue.attempts => {
                    let pause = backoff.delay(attempt, &self.rng);
                    let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
                    tokio::time::sleep(pause.max(asked)).await;
                }
                Verdict::Later(_) => {}
            }
        }
        if self.figures.refused.inc_by(count) == 0 {
            tracing::warn!(to = &*self.place, "telemetry is not taken and is dropped");
        }
    }
}

/// Waits for a first item, then for the batch to fill or its time to pass. Cancel safe.
async fn fill<T>(
    items: &mut mpsc::Receiver<T>,
    batch: &mut Vec<T>,
    limit: usize,
    interval: Duration,
) {
    if batch.is_empty() {
        items.recv_many(batch, limit).await;
    }
    let due = tokio::time::Instant::now() + interval;
    while batch.len() < limit {
        let more = items.recv_many(batch, limit - batch.len());
        if tokio::time::timeout_at(due, more).await.is_err() {
            return;
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause that a peer may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
