//! The ports: what every log promises, whichever engine keeps it.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Uuid;
use serde::{Deserialize, Serialize};

use crate::{Event, NewEvent, Position, Result, StreamName, Version};

/// An append-only, globally ordered, durable log of events.
///
/// Order: positions are gap-free and in commit order; a reader that has seen position *n* has seen
/// everything before it, for ever. Every method may be dropped at any await: an append that was
/// dropped may or may not have happened, and appending the same ids again settles it.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends events to one or several streams, all or none.
    ///
    /// *Idempotent* by event id: if all ids are present with the same streams and types, it answers
    /// as the first time, before expectations are looked at. *Durable at return*, whether it
    /// answers `Ok` or an error that names what another append did. Errors: `Conflict`,
    /// `ConditionFailed`, `PartialDuplicate`, `Fenced`, `Invalid`, `Full`, `Unavailable`.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// Reads at most `limit` events of `stream` with a version above `after`, in order. A stream
    /// that does not exist is empty.
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>>;

    /// Reads at most `limit` matching events with a position above `after`, in order.
    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page>;

    /// The incarnation of the log and its last position.
    async fn head(&self) -> Result<Head>;

    /// Waits until the head is above `after`, at most for `wait`, and answers the head. A wake-up
    /// is a hint: the caller reads again.
    async fn wait(&self, after: Position, wait: Duration) -> Result<Head>;
}

/// Durable checkpoints by name. A checkpoint moves by compare-and-set only.
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// The stored checkpoint, or `None`. `ForeignCheckpoint` if it is of another incarnation.
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>>;

    /// Moves `name` from `expected` to `to`, durable at return. `Conflict`-free by design: a lost
    /// race answers `Fenced`, and the loser stops.
    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()>;

    /// The same as the owner of something: `Fenced` also if the epoch of `fence` is over, checked in
    /// the same transaction (H13).
    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()>;
}

/// Epochs by name. Raising one shuts out everybody who still writes with an earlier one. Who shares
/// a log with others takes a [lease](crate::Leases) instead.
#[async_trait]
pub trait Fences: Send + Sync + 'static {
    /// Begins the next epoch of `name`, durable at return. A lease of that name has no holder from
    /// here on.
    async fn raise(&self, name: &str) -> Result<Fence>;
}

/// What to append: to which streams, under which conditions.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The writes, one per stream; a stream appears once.
    pub writes: Vec<Write>,
    /// A condition on tags over the whole log.
    pub condition: Option<Condition>,
    /// The writer's epoch, checked in the same transaction.
    pub fence: Option<Fence>,
}

/// Events for one stream.
#[derive(Clone, Debug)]
pub struct Write {
    /// The stream.
    pub stream: StreamName,
    /// What the writer believes about the stream.
    pub expect: Expect,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
}

impl Append {
    /// The most events in one append.
    pub const MAX_EVENTS: usize = 4_096;
    /// The most bytes of data and metadata of one event.
    pub const MAX_EVENT_BYTES: usize = 1 << 20;

    /// Events for one stream.
    pub fn to(stream: StreamName, expect: Expect, events: Vec<NewEvent>) -> Self {
        Self {
            writes: vec![Write {
                stream,
                expect,
                events,
            }],
            ..Self::default()
        }
    }

    /// The same append under a writer's epoch.
    #[must_use]
    pub fn fenced(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }
}

/// What a writer believes about a stream. In JSON: `"any"`, `"noStream"`, `"exists"`, `{"version": 3}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// Nothing; never a conflict.
    #[default]
    Any,
    /// That it has no event.
    NoStream,
    /// That it has at least one event.
    Exists,
    /// That its last event has this version (0: that it has none).
    Version(Version),
}

/// Holds if no event with one of `types` (any, if empty) and all of `tags` lies beyond `after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Tags that an event must all have to break the condition; at least one.
    pub tags: Vec<String>,
    /// Types, one of which it must have; empty means any.
    #[serde(default)]
    pub types: Vec<String>,
    /// What the writer has seen.
    pub after: Position,
}

/// The right to write as the current owner of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// What is owned.
    pub name: String,
    /// The owner's epoch; a later one shuts this one out.
    pub epoch: u64,
}

/// The answer to an append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// The position of the last of the events.
    pub position: Position,
    /// The version of each written stream after the last of the events, in the order of the writes.
    pub versions: Vec<(StreamName, Version)>,
    /// True if the events had been appended before.
    pub duplicate: bool,
}

/// Which events a reader wants. Empty lists mean "all"; both must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Categories (topics).
    #[serde(default)]
    pub categories: Vec<String>,
    /// Types.
    #[serde(default)]
    pub types: Vec<String>,
}

impl Filter {
    /// The events of one category.
    pub fn category(category: impl Into<String>) -> Self {
        Self {
            categories: vec![category.into()],
            types: Vec::new(),
        }
    }

    /// True if `event` is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        let category = event.stream.category();
        (self.categories.is_empty() || self.categories.iter().any(|c| c == category))
            && (self.types.is_empty() || self.types.contains(&event.kind))
    }
}

/// A piece of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The matching events, in order.
    pub events: Vec<Event>,
    /// Everything up to here was looked at: the place to go on from, also when nothing matched.
    pub scanned_to: Position,
    /// The head when the page was read.
    pub head: Head,
}

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Changes when a backup is restored: checkpoints of another incarnation mean nothing here.
    pub incarnation: Uuid,
    /// The last position.
    pub position: Position,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// The incarnation of the log that it belongs to.
    pub incarnation: Uuid,
    /// The last position that was dealt with.
    pub position: Position,
}
