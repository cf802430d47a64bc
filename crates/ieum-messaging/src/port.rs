//! The ports: publishing, subscribing, and the outbox that feeds a relay.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Message, Result};

/// Publishes messages to topics.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes `messages` to `topic`, all or none, in order per key.
    ///
    /// *Idempotent* by source and id, also message by message: a batch of which a part was published
    /// before adds the rest. *Durable at return*, unless the engine declares otherwise.
    /// Dropping the future leaves it unknown; publishing again settles it.
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()>;
}

/// Opens subscriptions of consumer groups.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// Subscribes `group` to `topic` as `member`. Members of a group share the work; one that
    /// starts again under the same name continues at once.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>>;
}

/// One member's view of a group's subscription. At least once, in order per key.
#[async_trait]
pub trait Subscription: Send {
    /// The next messages, at most `max`. Waits; an empty answer means none came in time. What is
    /// not acknowledged is delivered again. Cancel safe.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>>;

    /// Acknowledges everything up to and including `delivery`, durable at return. Refused with
    /// `Superseded` if another member has taken over.
    async fn ack(&mut self, delivery: &Delivery) -> Result<()>;

    /// Gives up on `delivery`: it becomes a dead letter, and what follows on *its key* waits behind
    /// it, so that other keys flow. Acknowledges it.
    async fn dead_letter(&mut self, delivery: &Delivery, reason: &str) -> Result<()>;

    /// The messages behind `last`, at most `max`, while messages before it are not acknowledged yet:
    /// one message that is tried again does not hold up the keys behind it (H30). Does not wait, and
    /// says that this member is alive. Engines that cannot look ahead answer none, as by default.
    async fn ahead(&mut self, last: &Delivery, max: usize) -> Result<Vec<Delivery>> {
        let _ = (last, max);
        self.keep().await.map(|()| Vec::new())
    }

    /// Says that this member is alive while it works longer than a lease on what it has. Engines
    /// without a lease do nothing.
    async fn keep(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Consumer groups of an engine that keeps a log: a group is a checkpoint over a topic.
///
/// One member at a time works for a group; `join` begins its epoch and shuts out the one before.
#[async_trait]
pub trait Groups: Send + Sync + 'static {
    /// Makes `member` the worker of `group`. The same name takes over at once; another name is
    /// answered `Busy` while the worker was seen within the group's lease.
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch>;

    /// The messages after the group's checkpoint, at most `max`, waiting at most `wait` for one.
    /// Messages of a parked key are left out. Renews the lease, which is all that a `max` of 0 does.
    /// `Superseded` if `epoch` is over.
    async fn pull(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>>;

    /// The same for the messages that lie behind `after` too, wherever the checkpoint is.
    async fn pull_after(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        after: u64,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>>;

    /// Moves the group's checkpoint to `up_to`, never back. Messages of a parked key that it passes
    /// are parked in the same transaction. `Superseded` if `epoch` is over; `Full` if the parked
    /// messages have reached their bound; `Invalid` beyond the topic's end.
    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()>;

    /// Keeps the message at `position` as a dead letter, parks its key, and moves the checkpoint
    /// past it, in one transaction. Idempotent. On a key that is parked already the message waits
    /// behind the one before. Errors as for [`ack`](Self::ack).
    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()>;
}

/// The worker's term in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A message on its way to a consumer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its place in the topic; increases within a subscription.
    pub position: u64,
    /// The message.
    pub message: Message,
}

/// The outbox of a service's database, as the relay sees it. Rows are written by the service in
/// its own transaction.
#[async_trait]
pub trait OutboxStore: Send + Sync + 'static {
    /// The oldest unsent rows in id order, at most `limit`. Never "after the last id": a row with a
    /// smaller id may commit later (H01).
    async fn pending(&self, limit: usize) -> Result<Vec<OutboxRow>>;

    /// The same without the rows of the topics in `besides`: a topic that takes nothing at present
    /// must not stand before the others. By default what is left of [`pending`](Self::pending).
    async fn pending_besides(&self, besides: &[String], limit: usize) -> Result<Vec<OutboxRow>> {
        let mut rows = self.pending(limit).await?;
        rows.retain(|row| !besides.contains(&row.topic));
        Ok(rows)
    }

    /// Marks rows as sent, durable at return.
    async fn mark_sent(&self, ids: &[i64]) -> Result<()>;

    /// Marks a row that can never be sent, and says why; it is kept and shown.
    async fn mark_unsendable(&self, id: i64, reason: &str) -> Result<()>;

    /// Waits until a row may have been added, at most `wait`. A hint.
    async fn changed(&self, wait: Duration);
}

/// A row of the outbox.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its id, increasing.
    pub id: i64,
    /// The topic to publish to.
    pub topic: String,
    /// The message.
    pub message: Message,
}
