//! The outbox together with its relay: nothing lost, nothing published twice, order kept (H29).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join};

use super::Report;
use super::kit::{Failure, Verdict, cases, message, same, unique};
use crate::{
    Error, ErrorKind, Groups, Message, OutboxStore, Publisher, Result as MessagesResult, memory,
    relay,
};

/// Commits one row: the topic and the message.
pub type Add = dyn Fn(String, Message) -> BoxFuture<'static, ()> + Send + Sync;

/// The outbox under test, empty, and how its service writes to it.
pub struct Outbox {
    /// As the relay sees it.
    pub store: Arc<dyn OutboxStore>,
    /// Commits one row.
    pub add: Box<Add>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// The names of all cases.
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|(name, _)| *name).collect()
}

/// Runs every case, each on what `fresh` makes.
pub async fn run(fresh: impl AsyncFn() -> Outbox) -> Report {
    let mut report = Report::default();
    for (name, case) in CASES {
        let room = Room {
            outbox: fresh().await,
            source: unique("/things/"),
            broker: memory::Broker::default(),
        };
        match case(room).await {
            Ok(()) => report.passed.push(name),
            Err(Failure(why)) => report.failed.push((name, why)),
        }
    }
    report
}

type Case = fn(Room) -> Pin<Box<dyn Future<Output = Verdict> + Send>>;

const CASES: &[(&str, Case)] = cases![
    rows_come_in_the_order_of_writing,
    a_marked_row_is_gone_and_marking_again_is_harmless,
    a_row_comes_back_as_it_was_written,
    a_new_row_wakes_whoever_waits,
    a_wait_is_no_longer_than_it_is_told,
    h29_a_crash_between_publish_and_mark_publishes_once,
    h29_a_broker_that_is_down_loses_and_reorders_nothing,
    h29_two_relays_publish_each_row_once,
    h29_a_row_that_can_never_be_sent_is_set_aside,
];

/// An outbox, and a broker to relay to.
struct Room {
    outbox: Outbox,
    source: String,
    broker: memory::Broker,
}

const TOPIC: &str = "things";

impl Room {
    async fn add(&self, numbers: impl IntoIterator<Item = u32>) -> Verdict {
        for n in numbers {
            let message = message(&self.source, n, "a")?;
            (self.outbox.add)(TOPIC.to_owned(), message).await;
        }
        Ok(())
    }

    async fn pending(&self, limit: usize) -> Result<Vec<(i64, String)>, Failure> {
        let rows = self.outbox.store.pending(limit).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.id, row.message.id))
            .collect())
    }

    fn relay(&self, publisher: Arc<dyn Publisher>) -> relay::Service {
        let config = relay::Config {
            batch: 7,
            ..relay::Config::default()
        };
        relay::Service::new(Arc::clone(&self.outbox.store), publisher, config)
    }

    /// Runs rounds until the outbox is empty; a round may fail.
    async fn drain(&self, relay: &relay::Service) -> Verdict {
        for _ in 0..1_000 {
            // A failed round is repeated; that is the point.
            let _failed = relay.round().await;
            if self.pending(1).await?.is_empty() {
                return Ok(());
            }
        }
        Err(Failure("the outbox does not get empty".to_owned()))
    }

    /// What stands in the topic.
    async fn published(&self) -> Result<Vec<String>, Failure> {
        let epoch = self.broker.join(TOPIC, "checker", "checker").await?;
        let pulled = self
            .broker
            .pull(TOPIC, "checker", epoch, 5_000, Duration::ZERO);
        let pulled = pulled.await?;
        Ok(pulled.into_iter().map(|d| d.message.id).collect())
    }
}

fn numbers(wanted: impl IntoIterator<Item = u32>) -> Vec<String> {
    wanted.into_iter().map(|n| n.to_string()).collect()
}

/// A broker that fails every other time, half of the time after it took the messages.
struct Flaky {
    broker: memory::Broker,
    calls: AtomicU32,
}

#[async_trait]
impl Publisher for Flaky {
    async fn publish(&self, topic: &str, messages: &[Message]) -> MessagesResult<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if !call.is_multiple_of(4) {
            self.broker.publish(topic, messages).await?;
        }
        if call.is_multiple_of(2) {
            return Err(Error::new(ErrorKind::Unavailable, "publishing"));
        }
        Ok(())
    }
}

async fn rows_come_in_the_order_of_writing(room: Room) -> Verdict {
    same("empty", &room.pending(10).await?.len(), &0)?;
    room.add(1..=12).await?;
    let rows = room.pending(10).await?;
    let ids: Vec<String> = rows.iter().map(|(_, id)| id.clone()).collect();
    same("at most ten", &ids, &numbers(1..=10))?;
    let rising = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
    same("ids increase", &rising, &true)
}

async fn a_marked_row_is_gone_and_marking_again_is_harmless(room: Room) -> Verdict {
    room.add(1..=3).await?;
    let rows = room.pending(10).await?;
    let middle = rows.get(1).map(|(id, _)| *id);
    let middle = middle.ok_or_else(|| Failure("three rows".to_owned()))?;
    room.outbox.store.mark_sent(&[middle]).await?;
    room.outbox.store.mark_sent(&[middle]).await?;
    room.outbox.store.mark_sent(&[]).await?;
    let left: Vec<String> = room
        .pending(10)
        .await?
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    same("the others", &left, &numbers([1, 3]))
}

async fn a_row_comes_back_as_it_was_written(room: Room) -> Verdict {
    let written = message(&room.source, 1, "열쇠")?
        .with_subject("주제")
        .with_extension("flow", "orchestrated");
    (room.outbox.add)("other.things".to_owned(), written.clone()).await;
    let rows = room.outbox.store.pending(1).await?;
    let row = rows.first().ok_or_else(|| Failure("a row".to_owned()))?;
    let json = |message: &Message| serde_json::to_value(message).unwrap_or_default();
    same("the topic", &row.topic.as_str(), &"other.things")?;
    same("the message", &json(&row.message), &json(&written))
}

async fn a_new_row_wakes_whoever_waits(room: Room) -> Verdict {
    let begun = tokio::time::Instant::now();
    // Polled in this order: the row comes when somebody has begun to wait for it.
    let adding = room.add([1]);
    let waiting = async {
        // A wake-up is a hint: there may be more of them than rows.
        while room.pending(1).await?.is_empty() {
            room.outbox.store.changed(Duration::from_secs(20)).await;
        }
        Ok::<_, Failure>(())
    };
    let (waited, added) = join(waiting, adding).await;
    waited?;
    added?;
    let took = begun.elapsed();
    same(
        &format!("soon, {took:?}"),
        &(took < Duration::from_secs(5)),
        &true,
    )
}

async fn a_wait_is_no_longer_than_it_is_told(room: Room) -> Verdict {
    let waiting = room.outbox.store.changed(Duration::from_millis(100));
    let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    same("it ends", &waited.is_ok(), &true)
}

async fn h29_a_crash_between_publish_and_mark_publishes_once(room: Room) -> Verdict {
    room.add(1..=3).await?;
    let rows = room.outbox.store.pending(10).await?;
    let messages: Vec<Message> = rows.into_iter().map(|row| row.message).collect();
    room.broker.publish(TOPIC, &messages).await?;
    // The relay dies here, and the service goes on writing.
    room.add(4..=5).await?;
    room.drain(&room.relay(Arc::new(room.broker.clone())))
        .await?;
    same("the topic", &room.published().await?, &numbers(1..=5))
}

async fn h29_a_broker_that_is_down_loses_and_reorders_nothing(room: Room) -> Verdict {
    room.add(1..=50).await?;
    let flaky = Flaky {
        broker: room.broker.clone(),
        calls: AtomicU32::new(0),
    };
    room.drain(&room.relay(Arc::new(flaky))).await?;
    same("the topic", &room.published().await?, &numbers(1..=50))
}

async fn h29_two_relays_publish_each_row_once(room: Room) -> Verdict {
    room.add(1..=40).await?;
    let first = room.relay(Arc::new(room.broker.clone()));
    let second = room.relay(Arc::new(room.broker.clone()));
    let (one, two) = join(room.drain(&first), room.drain(&second)).await;
    one?;
    two?;
    same("the topic", &room.published().await?, &numbers(1..=40))
}

async fn h29_a_row_that_can_never_be_sent_is_set_aside(room: Room) -> Verdict {
    room.add([1]).await?;
    // The broker knows this id as another message, and refuses it for ever.
    let taken = Message::new(&room.source, "2", "thing.else", &())?;
    room.broker.publish("taken", &[taken]).await?;
    room.add([2, 3]).await?;
    let relay = room.relay(Arc::new(room.broker.clone()));
    let handle = relay.handle();
    room.drain(&relay).await?;
    same("the others", &room.published().await?, &numbers([1, 3]))?;
    same("one is marked", &handle.unsendable(), &1)
}
