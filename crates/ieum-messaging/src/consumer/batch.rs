//! Messages at work: a lane per key, lanes side by side, acknowledged from the front.
//!
//! Most batches are done before the first heartbeat. One that is not, because a message is slow or is
//! tried again, takes in what lies behind it at each heartbeat, so that only the keys of such messages
//! wait (H30). What it holds at once is bounded by [`Config::window`](super::Config::window).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval_at};

use super::service::Worker;
use crate::{Delivery, ErrorKind, Result, Subscription};

/// How the work on a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everything is handled and acknowledged, or set aside.
    Settled,
    /// A stop was requested; what is not acknowledged will be delivered again.
    Stopped,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Handled,
    GaveUp(String),
    /// Its key gave up on the message at this position.
    Behind(u64),
}

type Running<'w> = FuturesUnordered<BoxFuture<'w, (u64, Option<Outcome>)>>;

pub(super) struct Batch<'w> {
    worker: &'w Worker,
    /// What is neither acknowledged nor set aside, in order.
    items: VecDeque<Item>,
    lanes: HashMap<String, Lane>,
    running: Running<'w>,
}

struct Item {
    delivery: Delivery,
    /// `None` while it is not finished.
    outcome: Option<Outcome>,
}

/// The messages of a key that is at work.
#[derive(Default)]
struct Lane {
    /// Those that were not started, in order.
    waiting: VecDeque<Delivery>,
    is_busy: bool,
    /// The message that it gave up on, until that one is set aside.
    gave_up: Option<u64>,
}

/// The next thing that can be told to the engine.
enum Settling {
    /// So many at the front are handled.
    Handled(usize),
    /// The one at the front gave up, or waits behind one that did.
    Aside(String),
}

impl<'w> Batch<'w> {
    pub(super) fn new(worker: &'w Worker, deliveries: Vec<Delivery>) -> Self {
        let mut batch = Self {
            worker,
            items: VecDeque::with_capacity(deliveries.len()),
            lanes: HashMap::new(),
            running: FuturesUnordered::new(),
        };
        batch.take_in(deliveries);
        batch
    }

    /// Works until everything is settled or the stop. Errors of the engine end the batch, except
    /// those that pass while handlers are still at work.
    pub(super) async fn run(mut self, subscription: &mut dyn Subscription) -> Result<Ended> {
        let worker = self.worker;
        let heartbeat = worker.config().heartbeat.0;
        let mut beat = interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drained = async {
            worker.stop.requested().await;
            tokio::time::sleep(worker.config().drain.0).await;
        };
        let mut drained = Box::pin(drained);
        loop {
            tokio::select! {
                finished = self.running.next() => match finished {
                    Some((position, outcome)) => self.finish(position, outcome),
                    None => break,
                },
                _ = beat.tick() => self.beat(subscription).await?,
                () = &mut drained => break,
            }
        }
        self.running.clear();
        self.settle_all(subscription).await
    }

    /// Puts messages into their lanes, and starts those whose key is free.
    fn take_in(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let key = delivery.message.ordering_key().to_owned();
            let lane = self.lanes.entry(key.clone()).or_default();
            let outcome = lane.gave_up.map(Outcome::Behind);
            if outcome.is_none() {
                lane.waiting.push_back(delivery.clone());
            }
            self.items.push_back(Item { delivery, outcome });
            self.start_next(&key);
        }
    }

    /// Starts the next message of a key, unless one is at work. A lane with nothing in it ends.
    fn start_next(&mut self, key: &str) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        if lane.is_busy || lane.gave_up.is_some() || self.worker.stop.is_requested() {
            return;
        }
        let Some(delivery) = lane.waiting.pop_front() else {
            self.lanes.remove(key);
            return;
        };
        lane.is_busy = true;
        let worker = self.worker;
        self.running.push(Box::pin(async move {
            (delivery.position, worker.handle(delivery).await)
        }));
    }

    fn finish(&mut self, position: u64, outcome: Option<Outcome>) {
        let found = self
            .items
            .binary_search_by_key(&position, |item| item.delivery.position);
        let Ok(index) = found else { return };
        let key = self.items[index].delivery.message.ordering_key().to_owned();
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.is_busy = false;
            if matches!(outcome, Some(Outcome::GaveUp(_))) {
                lane.gave_up = Some(position);
                let behind: Vec<u64> = lane.waiting.drain(..).map(|d| d.position).collect();
                for item in &mut self.items {
                    if behind.contains(&item.delivery.position) {
                        item.outcome = Some(Outcome::Behind(position));
                    }
                }
            }
        }
        self.items[index].outcome = outcome;
        self.start_next(&key);
    }

    /// Lets handlers work on while the engine is asked something.
    async fn meanwhile<T>(&mut self, asked: impl Future<Output = T>) -> T {
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return answer,
                Some((position, outcome)) = self.running.next() => self.finish(position, outcome),
            }
        }
    }

    /// Acknowledges what is finished, renews the lease, and takes in what lies behind. An engine
    /// that does not answer is asked again at the next beat.
    async fn beat(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        let kept = match self.settle(subscription).await {
            Ok(()) => self.look_ahead(subscription).await,
            Err(error) => Err(error),
        };
        match kept {
            Err(error) if error.kind() == ErrorKind::Superseded => Err(error),
            Err(error) => {
                self.worker.trouble(Some(error.to_string()));
                let topic = &self.worker.topic;
                tracing::warn!(topic, %error, "cannot acknowledge yet");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Takes in what lies behind the messages at work, as long as there is room for it.
    async fn look_ahead(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        let config = self.worker.config();
        let mut asked = false;
        while let Some(last) = self.items.back().map(|item| item.delivery.clone()) {
            let room = config.window.saturating_sub(self.items.len());
            let max = room.min(config.batch.max(1));
            if max == 0 || self.worker.stop.is_requested() {
                break;
            }
            asked = true;
            let deliveries = self.meanwhile(subscription.ahead(&last, max)).await?;
            let is_all = deliveries.len() < max;
            self.take_in(deliveries);
            if is_all {
                break;
            }
        }
        if !asked {
            self.meanwhile(subscription.keep()).await?;
        }
        self.worker.trouble(self.congestion());
        Ok(())
    }

    /// What an operator should know of a batch that takes no more.
    fn congestion(&self) -> Option<String> {
        let front = self.items.front()?;
        (self.items.len() >= self.worker.config().window).then(|| {
            format!(
                "{} messages wait behind the one at {}, which is not handled",
                self.items.len() - 1,
                front.delivery.position
            )
        })
    }

    /// Settles what is finished; repeats what may pass. Handlers have ended by now.
    async fn settle_all(&mut self, subscription: &mut dyn Subscription) -> Result<Ended> {
        let worker = self.worker;
        let mut attempt = 0;
        while let Err(error) = self.settle(subscription).await {
            if !error.retry().is_worthwhile() {
                return Err(error);
            }
            attempt += 1;
            worker.trouble(Some(error.to_string()));
            tracing::warn!(topic = worker.topic, %error, "acknowledging again");
            let pause = worker.config().reconnect().delay(attempt, worker.rng());
            let pause = worker.stop.unless_requested(tokio::time::sleep(pause));
            if pause.await.is_none() {
                return Ok(Ended::Stopped);
            }
        }
        worker.trouble(None);
        Ok(if self.items.is_empty() {
            Ended::Settled
        } else {
            Ended::Stopped
        })
    }

    /// Acknowledges the finished messages at the front, and sets aside what gave up. May be called
    /// again after an error: it goes on where it was.
    async fn settle(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        while let Some(next) = self.settling() {
            match next {
                Settling::Handled(count) => {
                    let last = self.items[count - 1].delivery.clone();
                    self.meanwhile(subscription.ack(&last)).await?;
                    self.items.drain(..count);
                }
                Settling::Aside(reason) => {
                    let front = self.items[0].delivery.clone();
                    let told = subscription.dead_letter(&front, &reason);
                    self.meanwhile(told).await?;
                    self.set_aside(&reason);
                }
            }
        }
        Ok(())
    }

    fn settling(&self) -> Option<Settling> {
        let is_handled = |item: &&Item| matches!(item.outcome, Some(Outcome::Handled));
        let handled = self.items.iter().take_while(is_handled).count();
        if handled > 0 {
            return Some(Settling::Handled(handled));
        }
        match self.items.front()?.outcome.as_ref()? {
            Outcome::GaveUp(why) => Some(Settling::Aside(why.clone())),
            Outcome::Behind(at) => Some(Settling::Aside(format!("waits behind position {at}"))),
            Outcome::Handled => None,
        }
    }

    /// The engine has set the front aside. From now on it holds back the key by itself.
    fn set_aside(&mut self, reason: &str) {
        let Some(item) = self.items.pop_front() else {
            return;
        };
        let counter = &self.worker.counters.dead_lettered;
        counter.fetch_add(1, Ordering::Relaxed);
        self.worker.report(&item.delivery, reason);
        let key = item.delivery.message.ordering_key();
        let position = Some(item.delivery.position);
        if self
            .lanes
            .get(key)
            .is_some_and(|lane| lane.gave_up == position)
        {
            self.lanes.remove(key);
        }
    }
}
