//! What an operator sees of topics, groups and dead letters.
//!
//! A dead letter is a message that gave up. Its key waits behind it: what arrives later on the same
//! key of the same group is parked too, so that order per key holds when somebody replays it.

use async_trait::async_trait;
use ieum_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Epoch, Message, Result};

/// A message that a group gave up on, or that waits behind one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The topic.
    pub topic: String,
    /// The group that gave up.
    pub group: String,
    /// The message's place in the topic.
    pub position: u64,
    /// The key that waits.
    pub key: String,
    /// Why.
    pub reason: DeadLetterReason,
    /// When it was set aside.
    pub recorded_at: Timestamp,
    /// The message.
    pub message: Message,
}

/// Why a message was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeadLetterReason {
    /// The consumer gave up on it and said this.
    GaveUp(String),
    /// The consumer gave up on the message at this position, which has the same key.
    Behind(u64),
}

/// What a topic holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicState {
    /// Its name.
    pub topic: String,
    /// How many messages it holds.
    pub messages: u64,
    /// The position of its last message; 0 if it is empty.
    pub head: u64,
}

/// How far a group has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Its worker, if one ever joined.
    pub member: Option<String>,
    /// The worker's term.
    pub epoch: Epoch,
    /// Everything up to here is done with.
    pub checkpoint: u64,
    /// How many messages of the topic lie behind the checkpoint.
    pub lag: u64,
    /// How many messages were given up, or wait behind one.
    pub dead_letters: u64,
}

/// Which dead letters to list. Absent fields mean "all".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFilter {
    /// Of this topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Looks at topics and groups without changing them. Engines that keep a log offer it.
#[async_trait]
pub trait Inspect: Send + Sync + 'static {
    /// All topics, by name.
    async fn topics(&self) -> Result<Vec<TopicState>>;

    /// All groups, by topic and name.
    async fn groups(&self) -> Result<Vec<GroupState>>;

    /// At most `limit` dead letters, by topic, group and position.
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>>;
}

/// What an operator does about dead letters. Engines that keep a log offer it.
///
/// Both begin a term that nobody works in: the group's worker joins again and goes on from there.
/// They answer how many messages they dealt with, 0 if nothing of the key was set aside; repeating
/// them is harmless. Durable at return.
#[async_trait]
pub trait Operate: Send + Sync + 'static {
    /// Lets the group handle the dead letters of `key`, and what waits behind them, once more. It
    /// goes back to the first of them, so that what came later is delivered again on every key:
    /// inboxes keep its effects from happening twice.
    async fn replay(&self, topic: &str, group: &str, key: &str) -> Result<usize>;

    /// Gives up the dead letters of `key`, and what waits behind them, for good. Later messages of
    /// the key are delivered.
    async fn skip(&self, topic: &str, group: &str, key: &str) -> Result<usize>;
}
