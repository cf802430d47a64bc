//! The consumer as a component: settings, routes, run, handle.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join_all;
use ieum_base::trace::Tracer;
use ieum_base::{Rng, Stop, TaskKind, Tasks};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::batch::{Batch, Ended};
use super::handler::Routes;
use super::{Config, HandlerResult};
use crate::{Delivery, Error, ErrorKind, Result, Subscriber};

/// A member of a consumer group, before it knows its topics.
#[derive(Clone)]
pub struct Consumer {
    subscriber: Arc<dyn Subscriber>,
    group: String,
    member: String,
    config: Config,
    tracer: Tracer,
    rng: Rng,
}

impl Consumer {
    /// The member `member` of `group`. A process that starts again under the same name goes on at
    /// once; two processes never share one.
    pub fn new(
        subscriber: Arc<dyn Subscriber>,
        group: impl Into<String>,
        member: impl Into<String>,
    ) -> Self {
        let group = group.into();
        Self {
            subscriber,
            tracer: Tracer::off(group.clone()),
            group,
            member: member.into(),
            config: Config::default(),
            rng: Rng::system(),
        }
    }

    /// The same with other settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The same with spans; none are recorded by default.
    #[must_use]
    pub fn tracer(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// The same with another source of randomness.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// Consumes `topic`; the handlers follow.
    pub fn topic(self, topic: impl Into<String>) -> Service {
        let topic = topic.into();
        Service {
            topics: BTreeMap::from([(topic.clone(), Routes::default())]),
            current: topic,
            consumer: self,
            counters: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.group)
            .field("member", &self.member)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A consumer with its topics and handlers, ready to run.
#[must_use = "a consumer works when it is run or spawned"]
pub struct Service {
    consumer: Consumer,
    topics: BTreeMap<String, Routes>,
    current: String,
    counters: Arc<Counters>,
}

impl Service {
    /// Handles messages of type `kind` of the topic named last. Messages of types that nobody
    /// handles are acknowledged. A second handler for a type is an error when the service runs.
    pub fn on<F, R>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.routes().add(kind.into(), handler);
        self
    }

    /// Handles the messages of the topic named last that no other handler takes.
    pub fn otherwise<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.routes().add_otherwise(handler);
        self
    }

    /// Consumes one more topic; its handlers follow.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.current = topic.into();
        self.routes();
        self
    }

    /// What others see of the running consumer.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.counters))
    }

    /// Runs the consumer as an essential task.
    pub fn spawn(self, tasks: &Tasks) -> Handle {
        let handle = self.handle();
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Essential, "consumer", async move {
            let group = self.consumer.group.clone();
            if let Err(error) = self.run(stop).await {
                tracing::error!(group, %error, "the consumer cannot work");
            }
        });
        handle
    }

    /// Works until the stop; then finishes what the handlers hold, within [`Config::drain`], and
    /// acknowledges it. Errors only where trying again cannot help: a wrong name, two handlers for
    /// one type. An engine that does not answer is waited for.
    pub async fn run(self, stop: Stop) -> Result<()> {
        let Self {
            consumer,
            topics,
            counters,
            ..
        } = self;
        let workers = topics.into_iter().map(|(topic, routes)| Worker {
            topic,
            routes,
            consumer: consumer.clone(),
            counters: Arc::clone(&counters),
            stop: stop.clone(),
            turns: Semaphore::new(consumer.config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
        });
        let running = workers.map(|worker| Box::pin(worker.run()));
        try_join_all(running).await.map(drop)
    }

    fn routes(&mut self) -> &mut Routes {
        self.topics.entry(self.current.clone()).or_default()
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("consumer", &self.consumer)
            .field("topics", &self.topics.keys())
            .finish_non_exhaustive()
    }
}

/// What others see of a running consumer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) handled: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    trouble: Mutex<BTreeMap<String, String>>,
}

impl Counters {
    fn note(&self, topic: &str, trouble: Option<String>) {
        let mut all = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(why) => all.insert(topic.to_owned(), why),
            None => all.remove(topic),
        };
    }
}

impl Handle {
    /// How many messages were handled.
    pub fn handled(&self) -> u64 {
        self.0.handled.load(Ordering::Relaxed)
    }

    /// How many attempts failed and were repeated.
    pub fn retried(&self) -> u64 {
        self.0.retried.load(Ordering::Relaxed)
    }

    /// How many messages became dead letters, those that wait behind one included.
    pub fn dead_lettered(&self) -> u64 {
        self.0.dead_lettered.load(Ordering::Relaxed)
    }

    /// Why a topic stands still at present, for a health check: the engine does not answer, its room
    /// for dead letters is used up, or too much waits behind one message. `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        let all = &self.0.trouble;
        let all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let first = all.iter().next();
        first.map(|(topic, why)| format!("{topic}: {why}"))
    }
}

/// The work on one topic.
pub(super) struct Worker {
    pub(super) topic: String,
    pub(super) routes: Routes,
    consumer: Consumer,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Stop,
    /// Turns to run a handler.
    pub(super) turns: Semaphore,
}

impl Worker {
    /// Says why the topic stands still, or that it does not.
    pub(super) fn trouble(&self, trouble: Option<String>) {
        self.counters.note(&self.topic, trouble);
    }

    pub(super) const fn config(&self) -> &Config {
        &self.consumer.config
    }

    pub(super) const fn tracer(&self) -> &Tracer {
        &self.consumer.tracer
    }

    pub(super) fn group(&self) -> &str {
        &self.consumer.group
    }

    pub(super) const fn rng(&self) -> &Rng {
        &self.consumer.rng
    }

    async fn run(self) -> Result<()> {
        if let Some(kind) = &self.routes.twice {
            let why = format!("two handlers for `{kind}` of topic `{}`", self.topic);
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let mut failures = 0;
        while !self.stop.is_requested() {
            let Err(error) = self.session(&mut failures).await else {
                break;
            };
            if failures == 0 && error.kind() == ErrorKind::Invalid {
                return Err(error);
            }
            failures += 1;
            self.counters.note(&self.topic, Some(error.to_string()));
            tracing::warn!(topic = self.topic, group = self.group(), %error, "reading again");
            let pause = self.config().reconnect().delay(failures, self.rng());
            self.stop.unless_requested(tokio::time::sleep(pause)).await;
        }
        Ok(())
    }

    /// One subscription, until it fails or the stop is requested. `failures` starts anew with each
    /// answer; an `Invalid` before the first answer is final.
    async fn session(&self, failures: &mut u32) -> Result<()> {
        let Consumer { group, member, .. } = &self.consumer;
        let subscriber = &self.consumer.subscriber;
        let mut subscription = subscriber.subscribe(&self.topic, group, member).await?;
        loop {
            let asked = Instant::now();
            let next = subscription.next(self.config().batch.max(1));
            let Some(deliveries) = self.stop.unless_requested(next).await else {
                return Ok(());
            };
            let deliveries = deliveries?;
            *failures = 0;
            self.counters.note(&self.topic, None);
            if deliveries.is_empty() {
                // An engine that answers "nothing" at once must not make this a busy loop.
                let pause = self.config().first_pause.0.saturating_sub(asked.elapsed());
                self.stop.unless_requested(tokio::time::sleep(pause)).await;
                continue;
            }
            let batch = Box::pin(Batch::new(self, deliveries).run(subscription.as_mut()));
            if batch.await? == Ended::Stopped {
                return Ok(());
            }
        }
    }
}
