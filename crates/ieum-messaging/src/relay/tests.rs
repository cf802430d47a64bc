//! The relay between the outbox and a broker with faults, on virtual time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{Stop, Tasks};
use serde_json::json;

use super::{Config, Service};
use crate::memory::{self, Broker, Outbox};
use crate::{Error, ErrorKind, Groups, Limits, Message, OutboxRow, OutboxStore, Publisher, Result};

fn message(id: u64) -> Message {
    Message::new(
        "/orders",
        id.to_string(),
        "order.created",
        &json!({"n": id}),
    )
    .expect("json")
    .with_key("o-1")
}

/// Fails as often as it was told, then passes on.
struct Flaky {
    broker: Broker,
    failures: AtomicU32,
    kind: ErrorKind,
    /// True if the broker takes the messages although it answers an error.
    took_them: bool,
}

#[async_trait]
impl Publisher for Flaky {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        let left = &self.failures;
        let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() || self.took_them {
            self.broker.publish(topic, messages).await?;
        }
        left.map_or(Ok(()), |_| Err(Error::new(self.kind, "publishing")))
    }
}

async fn published(broker: &Broker, topic: &str) -> Vec<String> {
    let epoch = broker.join(topic, "reader", "reader-1").await;
    let epoch = epoch.expect("joined");
    let pulled = broker
        .pull(topic, "reader", epoch, 1_000, Duration::ZERO)
        .await;
    let pulled = pulled.expect("pulled");
    pulled.into_iter().map(|d| d.message.id).collect()
}

/// Runs a relay until the outbox is empty.
async fn relay(outbox: &Arc<Outbox>, publisher: Arc<dyn Publisher>) -> super::Handle {
    let tasks = Tasks::new(Stop::new());
    let store: Arc<dyn OutboxStore> = Arc::clone(outbox) as _;
    let handle = Service::new(store, publisher, Config::default()).spawn(&tasks);
    while !outbox.is_empty() {
        pass(Duration::from_millis(10)).await;
    }
    assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, []);
    handle
}

#[tokio::test(start_paused = true)]
async fn h29_what_was_committed_is_published_in_order_whatever_the_broker_does() {
    for took_them in [false, true] {
        let broker = Broker::default();
        let outbox = Arc::new(Outbox::default());
        for id in 1..=300 {
            outbox.add("order.events", message(id));
        }
        let flaky = Flaky {
            broker: broker.clone(),
            failures: AtomicU32::new(5),
            kind: ErrorKind::Unavailable,
            took_them,
        };
        let handle = relay(&outbox, Arc::new(flaky)).await;
        let expected: Vec<String> = (1..=300).map(|id: u64| id.to_string()).collect();
        assert_eq!(published(&broker, "order.events").await, expected);
        assert_eq!((handle.sent(), handle.retries()), (300, 5));
    }
}

/// Takes nothing for one topic.
struct Partial(Broker, &'static str);

#[async_trait]
impl Publisher for Partial {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        if topic == self.1 {
            return Err(Error::new(ErrorKind::Unavailable, "publishing"));
        }
        self.0.publish(topic, messages).await
    }
}

#[tokio::test(start_paused = true)]
async fn h29_a_topic_that_takes_nothing_starves_no_other() {
    let broker = Broker::default();
    let outbox = Arc::new(Outbox::default());
    // More than one batch of what cannot be sent stands before what can.
    for id in 1..=1_000 {
        outbox.add("audit.events", message(id));
    }
    let tasks = Tasks::new(Stop::new());
    let store: Arc<dyn OutboxStore> = Arc::clone(&outbox) as _;
    let publisher = Arc::new(Partial(broker.clone(), "audit.events"));
    let handle = Service::new(store, publisher, Config::default()).spawn(&tasks);
    pass(Duration::from_secs(60)).await;
    assert!((50..400).contains(&handle.retries()), "no busy loop");
    for id in 1_001..=1_600 {
        outbox.add("order.events", message(id));
    }
    pass(Duration::from_millis(200)).await;
    let expected: Vec<String> = (1_001..=1_600).map(|id: u64| id.to_string()).collect();
    assert_eq!(published(&broker, "order.events").await, expected);
    let trouble = handle.trouble().expect("it is told");
    assert!(trouble.starts_with("audit.events"), "{trouble}");
    tasks.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn h29_a_broker_that_is_back_is_used_within_a_second() {
    let outbox = Arc::new(Outbox::default());
    outbox.add("order.events", message(1));
    let broker = Broker::default();
    let flaky = Flaky {
        broker: broker.clone(),
        failures: AtomicU32::new(u32::MAX),
        kind: ErrorKind::Unavailable,
        took_them: false,
    };
    let flaky = Arc::new(flaky);
    let tasks = Tasks::new(Stop::new());
    let store: Arc<dyn OutboxStore> = Arc::clone(&outbox) as _;
    let publisher: Arc<dyn Publisher> = Arc::clone(&flaky) as _;
    Service::new(store, publisher, Config::default()).spawn(&tasks);
    pass(Duration::from_secs(600)).await;
    assert_eq!(outbox.len(), 1);
    flaky.failures.store(0, Ordering::SeqCst);
    pass(Duration::from_millis(1_100)).await;
    assert!(outbox.is_empty());
    tasks.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn h29_a_row_that_can_never_be_sent_is_marked_and_the_rest_goes_on() {
    let config = memory::Config {
        limits: Limits {
            message_bytes: 200,
            ..Limits::default()
        },
        ..memory::Config::default()
    };
    let broker = Broker::new(config, ieum_base::Clock::system());
    let outbox = Arc::new(Outbox::default());
    outbox.add("order.events", message(1));
    let long = message(2).with_extension("note", "x".repeat(200));
    let refused = outbox.add("order.events", long);
    outbox.add("order.events", message(3));
    let handle = relay(&outbox, Arc::new(broker.clone())).await;
    assert_eq!(published(&broker, "order.events").await, ["1", "3"]);
    assert_eq!((handle.sent(), handle.unsendable()), (2, 1));
    let [(id, reason)] = &outbox.unsendable()[..] else {
        panic!("one row is marked")
    };
    assert_eq!(*id, refused);
    assert!(reason.contains("the limit is 200"), "{reason}");
}

/// Forgets the marks that it is given, as often as it was told: a crash between publish and mark.
struct Forgetful {
    outbox: Outbox,
    crashes: Mutex<u32>,
}

#[async_trait]
impl OutboxStore for Forgetful {
    async fn pending(&self, limit: usize) -> Result<Vec<OutboxRow>> {
        self.outbox.pending(limit).await
    }

    async fn mark_sent(&self, ids: &[i64]) -> Result<()> {
        {
            let mut crashes = self.crashes.lock().expect("not poisoned");
            if *crashes > 0 {
                *crashes -= 1;
                return Err(Error::new(ErrorKind::Unavailable, "marking"));
            }
        }
        self.outbox.mark_sent(ids).await
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> Result<()> {
        self.outbox.mark_unsendable(id, reason).await
    }

    async fn changed(&self, wait: Duration) {
        self.outbox.changed(wait).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h29_a_crash_between_publish_and_mark_makes_no_second_message() {
    let broker = Broker::default();
    let store = Arc::new(Forgetful {
        outbox: Outbox::default(),
        crashes: Mutex::new(2),
    });
    let outbox = Arc::clone(&store) as Arc<dyn OutboxStore>;
    let publisher: Arc<dyn Publisher> = Arc::new(broker.clone());
    store.outbox.add("order.events", message(1));
    let first = Service::new(
        Arc::clone(&outbox),
        Arc::clone(&publisher),
        Config::default(),
    );
    assert!(first.round().await.is_err());
    // The next round also finds a row that was added in between.
    store.outbox.add("order.events", message(2));
    let second = Service::new(outbox, publisher, Config::default());
    assert!(second.round().await.is_err());
    assert_eq!(second.round().await.expect("marked"), 2);
    assert_eq!(published(&broker, "order.events").await, ["1", "2"]);
    assert!(store.outbox.is_empty());
}

#[tokio::test(start_paused = true)]
async fn h29_two_relays_on_one_outbox_publish_each_row_once() {
    let broker = Broker::default();
    let outbox = Arc::new(Outbox::default());
    let tasks = Tasks::new(Stop::new());
    for _ in 0..2 {
        let store: Arc<dyn OutboxStore> = Arc::clone(&outbox) as _;
        Service::new(store, Arc::new(broker.clone()), Config::default()).spawn(&tasks);
    }
    for id in 1..=50 {
        outbox.add("order.events", message(id));
        tokio::task::yield_now().await;
    }
    while !outbox.is_empty() {
        pass(Duration::from_millis(10)).await;
    }
    tasks.shut_down(Duration::from_secs(5)).await;
    let expected: Vec<String> = (1..=50).map(|id: u64| id.to_string()).collect();
    assert_eq!(published(&broker, "order.events").await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_new_row_wakes_the_relay() {
    let broker = Broker::default();
    let outbox = Arc::new(Outbox::default());
    let tasks = Tasks::new(Stop::new());
    let store: Arc<dyn OutboxStore> = Arc::clone(&outbox) as _;
    Service::new(store, Arc::new(broker.clone()), Config::default()).spawn(&tasks);
    pass(Duration::from_secs(100)).await;
    let added = tokio::time::Instant::now();
    outbox.add("order.events", message(1));
    while !outbox.is_empty() {
        pass(Duration::from_millis(1)).await;
    }
    assert!(added.elapsed() < Duration::from_millis(5));
    tasks.shut_down(Duration::from_secs(5)).await;
}
