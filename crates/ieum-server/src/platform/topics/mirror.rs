//! The mirror: topics of a broker, copied into the log of the platform.
//!
//! Saga triggers, groups over HTTP, audits and traces read the log. One consumer group per topic copies
//! what the broker delivers, in its order; the log's own topics know a message by source and id, so what
//! is delivered again adds nothing. Of several platforms the broker lets one at a time work for the
//! group, and the next one takes over when that one is gone: there is no lease of ours.
//!
//! A message is acknowledged at the broker after it is durable in the log. One that the log can never
//! take, because it is no valid message of ours, becomes a dead letter at the broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ieum_base::{Backoff, Clock, Rng, Stop, TaskKind, Tasks};
use ieum_messaging::{
    Delivery, Error, ErrorKind, Message, Publisher, Result, Subscriber, Subscription,
};

/// The consumer group at the broker.
pub(in crate::platform) const GROUP: &str = "ieum-mirror";

/// What copies.
#[derive(Clone)]
pub(in crate::platform) struct Mirror {
    /// The broker.
    pub(super) from: Arc<dyn Subscriber>,
    /// The topics in the log.
    pub(super) to: Arc<dyn Publisher>,
    /// This platform's name in the group.
    pub(super) member: String,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) status: Status,
}

/// How each topic's copying is doing. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::platform) struct Status(Arc<Mutex<BTreeMap<String, State>>>);

/// How one topic's copying is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// This platform copies it.
    Here,
    /// Another platform does.
    Elsewhere,
    /// It stands still, and this is why.
    Stuck(String),
}

impl Status {
    /// Nothing, or which topic stands still and why.
    pub(in crate::platform) fn check(&self) -> std::result::Result<(), String> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = states.iter().find_map(|(topic, state)| match state {
            State::Stuck(why) => Some(format!("topic `{topic}` is not copied: {why}")),
            _ => None,
        });
        stuck.map_or(Ok(()), Err)
    }

    /// The topics that this platform copies.
    pub(in crate::platform) fn here(&self) -> Vec<String> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = states.iter().filter(|(_, state)| **state == State::Here);
        here.map(|(topic, _)| topic.clone()).collect()
    }

    fn set(&self, topic: &str, state: State) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if states.get(topic) == Some(&state) {
            return;
        }
        match &state {
            State::Here => tracing::info!(topic, "copying from the broker into the log"),
            State::Elsewhere => tracing::info!(topic, "another platform copies from the broker"),
            State::Stuck(why) => tracing::warn!(topic, why, "a topic is not copied; trying again"),
        }
        states.insert(topic.to_owned(), state);
    }
}

impl Mirror {
    /// Copies the topics that `wanted` names, which may become more, until the stop of `tasks`.
    pub(in crate::platform) async fn run(
        self,
        wanted: impl Fn() -> BTreeSet<String>,
        tasks: Tasks,
    ) {
        let stop = tasks.stop().clone();
        let mut running = BTreeSet::new();
        loop {
            for topic in wanted() {
                if running.insert(topic.clone()) {
                    let (mirror, stop) = (self.clone(), stop.clone());
                    tasks.spawn(TaskKind::Background, "topic-copy", async move {
                        mirror.copy(&topic, &stop).await;
                    });
                }
            }
            let pause = self.clock.sleep(LOOK_AGAIN);
            if stop.unless_requested(pause).await.is_none() {
                return;
            }
        }
    }

    /// Copies one topic, whatever happens to the broker and to the log.
    async fn copy(&self, topic: &str, stop: &Stop) {
        let mut failures = 0;
        loop {
            let copying = self.work(topic, &mut failures);
            let Some(ended) = stop.unless_requested(copying).await else {
                return;
            };
            let wait = match ended.kind() {
                ErrorKind::Busy | ErrorKind::Superseded => {
                    self.status.set(topic, State::Elsewhere);
                    TAKE_OVER
                }
                _ => {
                    failures += 1;
                    self.status.set(topic, State::Stuck(ended.to_string()));
                    BACKOFF.delay(failures, &self.rng)
                }
            };
            let pause = self.clock.sleep(wait);
            if stop.unless_requested(pause).await.is_none() {
                return;
            }
        }
    }

    /// Works until it fails; what was copied resets `failures`.
    async fn work(&self, topic: &str, failures: &mut u32) -> Error {
        let subscribing = self.from.subscribe(topic, GROUP, &self.member);
        let mut subscription = match subscribing.await {
            Ok(subscription) => subscription,
            Err(error) => return error,
        };
        loop {
            match self.step(topic, &mut *subscription).await {
                Ok(()) => {
                    self.status.set(topic, State::Here);
                    *failures = 0;
                }
                Err(error) => return error,
            }
        }
    }

    async fn step(&self, topic: &str, subscription: &mut dyn Subscription) -> Result<()> {
        let deliveries = subscription.next(BATCH).await?;
        let Some(last) = deliveries.last() else {
            return Ok(());
        };
        let messages: Vec<Message> = deliveries.iter().map(|d| d.message.clone()).collect();
        match self.to.publish(topic, &messages).await {
            Ok(()) => subscription.ack(last).await,
            // One of them is the reason, or all together are too much.
            Err(error) if error.kind() == ErrorKind::Invalid => {
                self.one_by_one(topic, &deliveries, subscription).await
            }
            Err(error) => Err(error),
        }
    }

    async fn one_by_one(
        &self,
        topic: &str,
        deliveries: &[Delivery],
        subscription: &mut dyn Subscription,
    ) -> Result<()> {
        for delivery in deliveries {
            let message = std::slice::from_ref(&delivery.message);
            match self.to.publish(topic, message).await {
                Ok(()) => subscription.ack(delivery).await?,
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    tracing::error!(
                        topic, id = delivery.message.id, %error,
                        "a message cannot be copied into the log; it is a dead letter at the broker"
                    );
                    let why = format!("the log cannot take it: {error}");
                    // What follows on its key may wait behind it now: the rest is read again.
                    return subscription.dead_letter(delivery, &why).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The most messages that are copied as one.
const BATCH: usize = 256;
/// How soon a definition with another topic is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How soon a platform tries to take over from one that is gone.
const TAKE_OVER: Duration = Duration::from_secs(1);
/// How long to leave a broker or a log alone that does not answer.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

#[cfg(test)]
mod tests;
