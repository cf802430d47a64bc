//! Keys that fail beside keys that do not, and an engine that is slow or full.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{Clock, Stop, Tasks};

use super::{Seen, TOPIC, consumer, dead_letters, group, message, publish};
use crate::consumer::{Config, Consumer, Handle, HandlerError};
use crate::memory::Broker;
use crate::{DeadLetterReason, Delivery, Epoch, Groups, Message, Publisher};

/// Runs a consumer whose handler fails on the keys `bad…`, while messages come in.
async fn beside_failing_keys(config: Config) -> (Broker, Seen, Handle, Tasks) {
    let broker = Broker::default();
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker).config(config).topic(TOPIC).on(
        "order.created",
        move |delivery: Delivery| {
            let is_bad = delivery.message.ordering_key().starts_with("bad");
            if !is_bad {
                noting.note(&delivery);
            }
            async move {
                match is_bad {
                    true => Err(HandlerError::retry("no answer")),
                    false => Ok(()),
                }
            }
        },
    );
    let tasks = Tasks::new(Stop::new());
    let handle = service.spawn(&tasks);
    (broker, seen, handle, tasks)
}

#[tokio::test(start_paused = true)]
async fn h30_while_messages_are_tried_again_only_their_keys_wait() {
    let (broker, seen, handle, tasks) = beside_failing_keys(Config::default()).await;
    // More keys that fail than handlers may run at once.
    let mut messages: Vec<Message> = (1..=20)
        .map(|id| message(id, &format!("bad-{id}"), "order.created"))
        .collect();
    messages.extend((21..=400).map(|id| message(id, &format!("good-{}", id % 7), "order.created")));
    broker.publish(TOPIC, &messages).await.expect("published");
    pass(Duration::from_secs(3)).await;
    assert_eq!(handle.handled(), 380);
    let late = message(401, "good-1", "order.created");
    broker.publish(TOPIC, &[late]).await.expect("published");
    pass(Duration::from_secs(2)).await;
    assert_eq!(handle.handled(), 381);
    assert!(
        seen.by_key()
            .values()
            .all(|ids| ids.is_sorted_by(|a, b| a < b)),
        "each once, in order per key"
    );
    assert_eq!(group(&broker).await.checkpoint, 0);
    assert_eq!(handle.trouble(), None);
    // Once the others are given up everything is settled.
    pass(Duration::from_secs(1_800)).await;
    assert_eq!(handle.dead_lettered(), 20);
    assert_eq!(group(&broker).await.checkpoint, 401);
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn h30_what_comes_behind_a_message_that_gave_up_waits_behind_it() {
    let config = Config {
        attempts: 12,
        ..Config::default()
    };
    let (broker, seen, handle, tasks) = beside_failing_keys(config).await;
    publish(&broker, &["bad", "bad-too", "good", "bad"]).await;
    pass(Duration::from_secs(2)).await;
    let more = [(5, "bad"), (6, "good"), (7, "bad-too")];
    let more = more.map(|(id, key)| message(id, key, "order.created"));
    broker.publish(TOPIC, &more).await.expect("published");
    pass(Duration::from_secs(120)).await;
    assert_eq!(seen.ids(), ["3", "6"]);
    let letters = dead_letters(&broker).await;
    let behind: Vec<_> = letters
        .iter()
        .map(|letter| match letter.reason {
            DeadLetterReason::Behind(at) => (letter.position, at),
            DeadLetterReason::GaveUp(_) => (letter.position, 0),
        })
        .collect();
    assert_eq!(behind, [(1, 0), (2, 0), (4, 1), (5, 1), (7, 2)]);
    assert_eq!(group(&broker).await.checkpoint, 7);
    assert_eq!(handle.trouble(), None);
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn h30_a_topic_that_stands_still_says_so() {
    let config = Config {
        window: 10,
        ..Config::default()
    };
    let (broker, _, handle, tasks) = beside_failing_keys(config).await;
    publish(&broker, &["bad"]).await;
    let rest: Vec<Message> = (2..40)
        .map(|id| message(id, "good", "order.created"))
        .collect();
    pass(Duration::from_millis(10)).await;
    broker.publish(TOPIC, &rest).await.expect("published");
    pass(Duration::from_secs(5)).await;
    assert_eq!(handle.handled(), 9);
    let trouble = handle.trouble().expect("it is told");
    assert!(trouble.contains("9 messages wait"), "{trouble}");
    pass(Duration::from_secs(1_800)).await;
    assert_eq!(handle.handled(), 38);
    assert_eq!(handle.trouble(), None);
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn h30_no_room_for_dead_letters_stops_the_group_in_sight() {
    let settings = crate::memory::Config {
        parked: 2,
        ..crate::memory::Config::default()
    };
    let broker = Broker::new(settings, Clock::system());
    publish(&broker, &["a", "b", "c", "d"]).await;
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", |_| async {
            Err(HandlerError::reject("no"))
        });
    let tasks = Tasks::new(Stop::new());
    let handle = service.spawn(&tasks);
    pass(Duration::from_secs(60)).await;
    let trouble = handle.trouble().expect("it is told");
    assert!(trouble.starts_with(TOPIC), "{trouble}");
    assert_eq!(group(&broker).await.checkpoint, 2);
    tasks.shut_down(Duration::from_secs(60)).await;
}

/// Groups whose answers take long.
struct Slow(Broker);

#[async_trait]
impl Groups for Slow {
    async fn join(&self, topic: &str, group: &str, member: &str) -> crate::Result<Epoch> {
        self.0.join(topic, group, member).await
    }

    async fn pull(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        max: usize,
        wait: Duration,
    ) -> crate::Result<Vec<Delivery>> {
        self.0.pull(topic, group, epoch, max, wait).await
    }

    async fn pull_after(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        after: u64,
        max: usize,
        wait: Duration,
    ) -> crate::Result<Vec<Delivery>> {
        pass(Duration::from_secs(20)).await;
        self.0
            .pull_after(topic, group, epoch, after, max, wait)
            .await
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, to: u64) -> crate::Result<()> {
        pass(Duration::from_secs(20)).await;
        self.0.ack(topic, group, epoch, to).await
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> crate::Result<()> {
        self.0
            .dead_letter(topic, group, epoch, position, reason)
            .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_takes_long_holds_up_no_handler() {
    let broker = Broker::default();
    publish(&broker, &["a", "a", "a", "a", "a", "b"]).await;
    let groups = crate::GroupSubscriber::new(Arc::new(Slow(broker.clone())));
    let service = Consumer::new(Arc::new(groups), "inventory", "inventory-1")
        .topic(TOPIC)
        .on("order.created", |_| async {
            pass(Duration::from_millis(700)).await;
            Ok(())
        });
    let tasks = Tasks::new(Stop::new());
    let handle = service.spawn(&tasks);
    // Five in a row, with a heartbeat in between whose answer takes 20 s.
    pass(Duration::from_secs(4)).await;
    assert_eq!(handle.handled(), 6);
    tasks.shut_down(Duration::from_secs(60)).await;
}
