//! One batch of messages: a lane per key, lanes side by side, acknowledged from the front.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use ieum_base::trace::{self, Span, SpanKind};
use tokio::time::{MissedTickBehavior, interval_at};

use super::HandlerError;
use super::handler::call;
use super::service::Worker;
use crate::{Delivery, ErrorKind, Result, Subscription, telemetry};

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
enum Outcome {
    Handled,
    GaveUp(String),
    /// Its key gave up on the message at this position.
    Behind(u64),
}

type Running<'w> = FuturesUnordered<BoxFuture<'w, (usize, Option<Outcome>)>>;

pub(super) struct Batch<'w> {
    worker: &'w Worker,
    deliveries: Vec<Delivery>,
    /// `None` while a message is not finished.
    outcomes: Vec<Option<Outcome>>,
    /// What is acknowledged or set aside, counted from the front.
    settled: usize,
    /// The messages of each key that were not started, in order.
    lanes: HashMap<String, VecDeque<usize>>,
    /// Keys whose lane is not being worked on, in the order of their first message.
    idle: VecDeque<String>,
}

impl<'w> Batch<'w> {
    pub(super) fn new(worker: &'w Worker, deliveries: Vec<Delivery>) -> Self {
        let mut lanes: HashMap<String, VecDeque<usize>> = HashMap::new();
        let mut idle = VecDeque::new();
        for (index, delivery) in deliveries.iter().enumerate() {
            let key = delivery.message.ordering_key();
            let lane = lanes.entry(key.to_owned()).or_insert_with(|| {
                idle.push_back(key.to_owned());
                VecDeque::new()
            });
            lane.push_back(index);
        }
        Self {
            worker,
            outcomes: vec![None; deliveries.len()],
            deliveries,
            settled: 0,
            lanes,
            idle,
        }
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
        let mut running: Running<'w> = FuturesUnordered::new();
        self.start_lanes(&mut running);
        loop {
            tokio::select! {
                finished = running.next() => match finished {
                    Some((index, outcome)) => self.finish(index, outcome, &mut running),
                    None => break,
                },
                _ = beat.tick() => self.beat(subscription).await?,
                () = &mut drained => break,
            }
        }
        drop(running);
        self.settle_all(subscription).await
    }

    fn start_lanes(&mut self, running: &mut Running<'w>) {
        while running.len() < self.worker.config().concurrency.max(1)
            && !self.worker.stop.is_requested()
            && let Some(key) = self.idle.pop_front()
        {
            self.start_next(&key, running);
        }
    }

    /// Starts the next message of a key.
    fn start_next(&mut self, key: &str, running: &mut Running<'w>) {
        if let Some(index) = self.lanes.get_mut(key).and_then(VecDeque::pop_front) {
            let worker = self.worker;
            let delivery = self.deliveries[index].clone();
            running.push(Box::pin(
                async move { (index, worker.handle(delivery).await) },
            ));
        }
    }

    fn finish(&mut self, index: usize, outcome: Option<Outcome>, running: &mut Running<'w>) {
        let key = self.deliveries[index].message.ordering_key().to_owned();
        match &outcome {
            Some(Outcome::Handled) if !self.worker.stop.is_requested() => {
                self.start_next(&key, running);
            }
            Some(Outcome::GaveUp(_)) => {
                let position = self.deliveries[index].position;
                for behind in self.lanes.remove(&key).into_iter().flatten() {
                    self.outcomes[behind] = Some(Outcome::Behind(position));
                }
            }
            _ => {}
        }
        self.outcomes[index] = outcome;
        self.start_lanes(running);
    }

    /// Acknowledges what is finished and renews the lease while handlers are at work. An engine
    /// that does not answer is asked again at the next beat.
    async fn beat(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        let kept = match self.settle(subscription).await {
            Ok(()) => subscription.keep().await,
            Err(error) => Err(error),
        };
        match kept {
            Err(error) if error.kind() == ErrorKind::Superseded => Err(error),
            Err(error) => {
                let topic = &self.worker.topic;
                tracing::warn!(topic, %error, "cannot acknowledge yet");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
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
            tracing::warn!(topic = worker.topic, %error, "acknowledging again");
            let pause = worker.config().backoff().delay(attempt, worker.rng());
            let pause = worker.stop.unless_requested(tokio::time::sleep(pause));
            if pause.await.is_none() {
                return Ok(Ended::Stopped);
            }
        }
        let is_settled = self.settled == self.outcomes.len();
        Ok(if is_settled {
            Ended::Settled
        } else {
            Ended::Stopped
        })
    }

    /// Acknowledges the finished messages at the front, and sets aside what gave up. May be called
    /// again after an error: it goes on where it was.
    async fn settle(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        loop {
            let open = &self.outcomes[self.settled..];
            let is_handled = |o: &&Option<Outcome>| matches!(o, Some(Outcome::Handled));
            let handled = open.iter().take_while(is_handled).count();
            if handled > 0 {
                let last = self.settled + handled - 1;
                subscription.ack(&self.deliveries[last]).await?;
                self.settled += handled;
                continue;
            }
            let reason = match open.first() {
                Some(Some(Outcome::GaveUp(why))) => why.clone(),
                Some(Some(Outcome::Behind(at))) => format!("waits behind position {at}"),
                _ => return Ok(()),
            };
            let delivery = &self.deliveries[self.settled];
            subscription.dead_letter(delivery, &reason).await?;
            let counter = &self.worker.counters.dead_lettered;
            counter.fetch_add(1, Ordering::Relaxed);
            self.worker.report(delivery, &reason);
            self.settled += 1;
        }
    }
}

impl Worker {
    /// Tries a message until it is handled or given up; `None` if the stop came first.
    async fn handle(&self, delivery: Delivery) -> Option<Outcome> {
        let Some(handler) = self.routes.find(&delivery.message.kind) else {
            return Some(Outcome::Handled);
        };
        let mut attempt = 1;
        loop {
            let mut span = self.span(&delivery, attempt);
            let work = call(handler, delivery.clone());
            let answer = trace::scope(span.context().clone(), work).await;
            let why = match answer {
                Ok(()) => {
                    self.counters.handled.fetch_add(1, Ordering::Relaxed);
                    return Some(Outcome::Handled);
                }
                Err(HandlerError::Reject(why)) => {
                    span.fail(why.clone());
                    return Some(Outcome::GaveUp(why));
                }
                Err(HandlerError::Retry(why)) => why,
            };
            span.fail(why.clone());
            drop(span);
            if attempt >= self.config().attempts {
                return Some(Outcome::GaveUp(format!("{why} (after {attempt} attempts)")));
            }
            self.counters.retried.fetch_add(1, Ordering::Relaxed);
            let message = &delivery.message;
            let (kind, id) = (&message.kind, &message.id);
            tracing::warn!(topic = self.topic, kind, id, attempt, why, "trying again");
            let pause = self.config().backoff().delay(attempt, self.rng());
            self.stop
                .unless_requested(tokio::time::sleep(pause))
                .await?;
            attempt += 1;
        }
    }

    fn span(&self, delivery: &Delivery, attempt: u32) -> Span {
        let message = &delivery.message;
        let name = format!("{} {}", telemetry::SPAN_PROCESS, message.kind);
        let span = self.tracer().span(name).kind(SpanKind::Consumer);
        let mut span = span.parent(message.trace_context()).start();
        if !span.is_recorded() {
            return span;
        }
        span.set(telemetry::SYSTEM, telemetry::SYSTEM_IEUM);
        span.set(telemetry::DESTINATION, self.topic.clone());
        span.set(telemetry::GROUP, self.group().to_owned());
        span.set(telemetry::MESSAGE_ID, message.id.clone());
        span.set(telemetry::MESSAGE_TYPE, message.kind.clone());
        span.set(telemetry::ATTEMPT, i64::from(attempt));
        let order = message.extension(telemetry::ORDER_ID_EXTENSION);
        let is_order = message.kind.starts_with("order.");
        if let Some(order) = order.or(message.subject.as_deref().filter(|_| is_order)) {
            span.set(telemetry::ORDER_ID, order.to_owned());
        }
        span
    }

    /// Tells an operator about a dead letter. The reason is the service's own text.
    fn report(&self, delivery: &Delivery, reason: &str) {
        let message = &delivery.message;
        tracing::error!(
            topic = self.topic,
            group = self.group(),
            position = delivery.position,
            kind = message.kind,
            id = message.id,
            reason,
            "a message became a dead letter; its key waits behind it"
        );
    }
}
