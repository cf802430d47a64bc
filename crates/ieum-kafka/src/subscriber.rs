//! Subscriptions: a member of Kafka's consumer group, with commits by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use ieum_base::{Clock, Deadline, EngineUrl};
use ieum_messaging::{Delivery, Error, ErrorKind, Message, Result, Window, names};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};

use crate::binding;
use crate::config::{Config, client, millis};
use crate::error::{ended, failed};
use crate::places::Places;
use crate::publisher::Publisher;

/// Opens subscriptions, each with a client of its own.
#[derive(Debug)]
pub struct Subscriber {
    url: EngineUrl,
    config: Config,
    clock: Clock,
    publisher: Arc<Publisher>,
}

impl Subscriber {
    pub(crate) const fn new(
        url: EngineUrl,
        config: Config,
        clock: Clock,
        publisher: Arc<Publisher>,
    ) -> Self {
        Self {
            url,
            config,
            clock,
            publisher,
        }
    }
}

#[async_trait]
impl ieum_messaging::Subscriber for Subscriber {
    /// Makes the topic unless it is there, where the brokers do so by themselves. The member joins
    /// its group with the first call of `next`.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn ieum_messaging::Subscription>> {
        let places = Places::of(topic, group)?;
        names::check("member", member)?;
        make_topic(&self.publisher, &places.topic, self.config).await?;
        Ok(Box::new(Subscription {
            url: self.url.clone(),
            config: self.config,
            publisher: Arc::clone(&self.publisher),
            clock: self.clock.clone(),
            member: member.to_owned(),
            window: Window::default(),
            term: None,
            begun_at: 0,
            places,
        }))
    }
}

/// Asking for a topic's metadata makes it.
async fn make_topic(publisher: &Arc<Publisher>, topic: &str, config: Config) -> Result<()> {
    use rdkafka::producer::Producer as _;
    let (producer, topic) = (publisher.producer().clone(), topic.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let client = producer.client();
        client
            .fetch_metadata(Some(&topic), config.answer_timeout)
            .map(drop)
    });
    let asked = asking.await.map_err(ended)?;
    asked.map_err(|error| failed("asking for a topic", error))
}

/// Counts the times that the member's partitions changed: what it was given before is given again.
#[derive(Debug, Default)]
struct Terms(AtomicU64);

impl ClientContext for Terms {}

impl ConsumerContext for Terms {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A consumer, and the number of the term in which the window was filled.
struct Term {
    consumer: Arc<StreamConsumer<Terms>>,
    number: u64,
}

impl Term {
    fn is_over(&self) -> bool {
        self.consumer.context().0.load(Ordering::Acquire) != self.number
    }
}

struct Subscription {
    url: EngineUrl,
    config: Config,
    publisher: Arc<Publisher>,
    clock: Clock,
    member: String,
    places: Places,
    /// Each message with its partition and offset.
    window: Window<(i32, i64)>,
    term: Option<Term>,
    /// The position before the first that was given in this term.
    begun_at: u64,
}

impl Subscription {
    fn join(&mut self) -> Result<()> {
        if self.term.is_some() {
            return Ok(());
        }
        self.begin_again();
        let mut config = client(&self.url, &self.config)?;
        config
            .set("group.id", &self.places.group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("session.timeout.ms", millis(self.config.session_timeout))
            .set(
                "heartbeat.interval.ms",
                millis(self.config.session_timeout / 6),
            )
            .set("fetch.wait.max.ms", "100")
            .set("fetch.message.max.bytes", "2097152")
            .set("topic.metadata.refresh.interval.ms", "5000");
        if self.config.static_members {
            config.set("group.instance.id", &self.member);
        }
        let made = config.create_with_context(Terms::default());
        let consumer: StreamConsumer<Terms> = made.map_err(|e| failed("joining a group", e))?;
        let subscribed = consumer.subscribe(&[&self.places.topic]);
        subscribed.map_err(|error| failed("joining a group", error))?;
        self.term = Some(Term {
            consumer: Arc::new(consumer),
            number: 0,
        });
        Ok(())
    }

    /// What was given so far is given again.
    fn begin_again(&mut self) {
        self.window.clear();
        self.begun_at = self.window.last();
    }

    /// Leaves the group, unless it is to be taken over by name. Closing waits for the brokers.
    fn leave(&mut self) {
        self.begin_again();
        if let Some(term) = self.term.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn_blocking(move || drop(term)));
        }
    }

    fn note_term(&mut self) {
        let Some(term) = &mut self.term else { return };
        let number = term.consumer.context().0.load(Ordering::Acquire);
        if number != term.number {
            term.number = number;
            self.begin_again();
        }
    }

    /// Waits for one message and puts it into the window; cancel safe. What is no message
    /// is passed over: it stays in the topic, and no group is given it.
    async fn arrive(&mut self) -> Result<()> {
        let Some(term) = &self.term else {
            return Ok(());
        };
        let consumer = Arc::clone(&term.consumer);
        let received = consumer.recv().await;
        self.note_term();
        let record = received.map_err(|error| failed("consuming", error))?;
        let token = (record.partition(), record.offset());
        match binding::read(&record) {
            Ok(message) => {
                self.window.push(message, token);
            }
            Err(error) => tracing::error!(
                topic = self.places.topic,
                partition = token.0,
                offset = token.1,
                %error,
                "a record is no CloudEvent and is passed over"
            ),
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<()> {
        while self.window.len() < self.config.window
            && let Some(arrived) = self.arrive().now_or_never()
        {
            arrived?;
        }
        Ok(())
    }

    async fn try_next(&mut self, max: usize, deadline: Deadline) -> Result<Vec<Delivery>> {
        self.join()?;
        loop {
            self.collect()?;
            let held = self.window.deliveries(0, max);
            if !held.is_empty() {
                return Ok(held);
            }
            match tokio::time::timeout_at(deadline.instant(), self.arrive()).await {
                Ok(arrived) => arrived?,
                Err(_) => return Ok(held),
            }
        }
    }

    /// `Superseded` if the term in which `position` was given is over.
    fn check(&mut self, position: u64) -> Result<()> {
        self.window.check(position)?;
        let is_over = self.term.as_ref().is_none_or(Term::is_over);
        if is_over || position <= self.begun_at {
            return Err(self.superseded());
        }
        Ok(())
    }

    fn superseded(&self) -> Error {
        let doing = format!("group `{}`", self.places.group);
        Error::new(ErrorKind::Superseded, doing)
    }

    /// Commits everything that is held up to `position`; durable at return.
    async fn commit(&mut self, position: u64) -> Result<()> {
        let mut offsets = BTreeMap::new();
        for held in self.window.up_to(position) {
            let (partition, offset) = held.token;
            offsets.insert(partition, offset + 1);
        }
        let Some(term) = self.term.as_ref().filter(|_| !offsets.is_empty()) else {
            return Ok(());
        };
        let mut list = TopicPartitionList::new();
        for (partition, next) in offsets {
            let offset = Offset::Offset(next);
            list.add_partition_offset(&self.places.topic, partition, offset)
                .map_err(|error| failed("acknowledging", error))?;
        }
        let consumer = Arc::clone(&term.consumer);
        let committing =
            tokio::task::spawn_blocking(move || consumer.commit(&list, CommitMode::Sync));
        let committed = committing.await.map_err(ended)?;
        if let Err(error) = committed {
            let error = failed("acknowledging", error);
            if error.kind() == ErrorKind::Superseded {
                self.leave();
            }
            return Err(error);
        }
        self.window.take_up_to(position);
        Ok(())
    }

    async fn set_aside(&self, message: &Message, reason: &str) -> Result<()> {
        let record = binding::write(message)?
            .with(binding::REASON, reason)
            .with(binding::RECORDED_AT, &self.clock.now().to_string());
        self.publisher.deliver(&self.places.dead, &[record]).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.leave();
    }
}

#[async_trait]
impl ieum_messaging::Subscription for Subscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let deadline = Deadline::after(self.config.wait);
        loop {
            let error = match self.try_next(max.max(1), deadline).await {
                Ok(deliveries) => return Ok(deliveries),
                Err(error) => error,
            };
            // The client library connects again by itself, for ever.
            if error.kind() == ErrorKind::Superseded {
                self.leave();
            }
            if deadline.is_over() || error.kind() == ErrorKind::Invalid {
                return Err(error);
            }
            tracing::debug!(group = self.places.group, %error, "asking again");
            self.clock.sleep(PAUSE).await;
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        self.check(delivery.position)?;
        self.commit(delivery.position).await
    }

    async fn dead_letter(&mut self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.check(delivery.position)?;
        let Some(held) = self.window.get(delivery.position) else {
            return Ok(());
        };
        let message = held.message.clone();
        self.set_aside(&message, reason).await?;
        self.commit(delivery.position).await
    }

    async fn ahead(&mut self, last: &Delivery, max: usize) -> Result<Vec<Delivery>> {
        self.check(last.position)?;
        self.collect()?;
        self.check(last.position)?;
        Ok(self.window.deliveries(last.position, max))
    }

    /// The client library says by itself that the process lives; this says that the member does.
    async fn keep(&mut self) -> Result<()> {
        self.collect()?;
        match &self.term {
            Some(_) => Ok(()),
            None => Err(self.superseded()),
        }
    }
}

/// Before a failed call is repeated.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
