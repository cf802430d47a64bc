//! Who publishes what, as the messages in the log tell it.
//!
//! Nobody declares what he publishes; each message names its source. The tail of the log is read when
//! somebody asks, at most so many positions at once, and what was seen is remembered: the next question
//! reads on. Nothing is read while nobody asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use ieum_base::Uuid;
use ieum_eventstore::{EventStore, Filter, Position};
use ieum_messaging::Inspect;
use ieum_remote::wire::impact::Seen;
use tokio::sync::Mutex;

use crate::errors::ApiResult;

/// Messages of one type in one topic from one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    /// The topic.
    pub(crate) topic: String,
    /// The type.
    pub(crate) kind: String,
    /// The source, as the message has it.
    pub(crate) source: String,
}

/// What the log tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// The topics that there are.
    pub(crate) topics: BTreeSet<String>,
    /// What was published.
    pub(crate) told: Vec<Told>,
    /// How much was looked at.
    pub(crate) seen: Seen,
}

/// What was seen so far. Clones share it.
#[derive(Clone)]
pub(crate) struct Publishers {
    log: Arc<dyn EventStore>,
    topics: Arc<dyn Inspect>,
    /// The most positions that are read for one question.
    most: u64,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    incarnation: Option<Uuid>,
    told: BTreeSet<Told>,
    after: Position,
    up_to: Position,
    /// True if something was left out for lack of room.
    full: bool,
}

/// Events in one page.
const PAGE: usize = 1_000;
/// The most combinations of topic, type and source that are remembered.
const MOST_TOLD: usize = 20_000;
/// More topics are not asked for by name: a filter is not a list without end.
const FILTERED: usize = 100;

impl Publishers {
    /// Nothing is seen yet. `most` positions are read for one question.
    pub(crate) fn new(log: Arc<dyn EventStore>, topics: Arc<dyn Inspect>, most: u64) -> Self {
        Self {
            log,
            topics,
            most,
            memory: Arc::default(),
        }
    }

    /// What is known once the tail was read. Who asks meanwhile waits, and nothing is read twice.
    ///
    /// # Errors
    /// As the log and the topics have them; what was seen before stays.
    pub(crate) async fn look(&self) -> ApiResult<Look> {
        let mut memory = self.memory.lock().await;
        // The end is taken before the topics: a message up to there is in one of them.
        let head = self.log.head().await?;
        let topics = self.topics.topics().await?;
        let topics: BTreeSet<_> = topics.into_iter().map(|topic| topic.topic).collect();
        memory.turn_to(head.incarnation);
        let end = head.position;
        if end.0.saturating_sub(memory.up_to.0) > self.most {
            memory.after = Position(end.0 - self.most);
            memory.up_to = memory.after;
        }
        if !topics.is_empty() {
            self.read_to(end, &topics, &mut memory).await?;
        }
        memory.up_to = memory.up_to.max(end);
        let seen = Seen {
            complete: memory.after == Position(0) && !memory.full,
            after: memory.after,
            up_to: memory.up_to,
        };
        let told = memory.told.iter().cloned().collect();
        Ok(Look { topics, told, seen })
    }

    async fn read_to(
        &self,
        end: Position,
        topics: &BTreeSet<String>,
        memory: &mut Memory,
    ) -> ApiResult<()> {
        let filter = Filter {
            categories: match topics.len() {
                ..=FILTERED => topics.iter().cloned().collect(),
                _ => Vec::new(),
            },
            types: Vec::new(),
        };
        while memory.up_to < end {
            let page = self.log.read_all(memory.up_to, &filter, PAGE).await?;
            for event in &page.events {
                let topic = event.stream.category();
                let source = event.metadata.other.get("source");
                let source = source.and_then(|source| source.as_str());
                if let (Some(source), true) = (source, topics.contains(topic)) {
                    memory.note(topic, &event.kind, source);
                }
            }
            if page.scanned_to <= memory.up_to {
                break;
            }
            memory.up_to = page.scanned_to;
        }
        Ok(())
    }
}

impl Memory {
    /// What was seen in another incarnation of the log means nothing in this one.
    fn turn_to(&mut self, incarnation: Uuid) {
        if self.incarnation != Some(incarnation) {
            *self = Self {
                incarnation: Some(incarnation),
                ..Self::default()
            };
        }
    }

    fn note(&mut self, topic: &str, kind: &str, source: &str) {
        let told = Told {
            topic: topic.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
        };
        if self.told.len() < MOST_TOLD {
            self.told.insert(told);
        } else if !self.told.contains(&told) {
            self.full = true;
        }
    }
}

#[cfg(test)]
mod tests;
