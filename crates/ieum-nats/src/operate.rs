//! What an operator does about dead letters.
//!
//! Both begin a term that nobody works in, by the same compare-and-set as every other change of a
//! group's entry: whoever worked is superseded, joins again, and goes on from there.

use std::sync::Arc;

use async_trait::async_trait;
use ieum_messaging::{DeadLetter, Error, ErrorKind, Result, names};
use serde_json::json;

use crate::connection::{Connection, Which};
use crate::error::refused;
use crate::group::{Names, Tenure};
use crate::inspect::Inspect;
use crate::streams::Streams;

/// Replays and skips dead letters.
#[derive(Clone, Debug)]
pub struct Operate {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
}

/// What becomes of a key's dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Replayed,
    Skipped,
}

impl Operate {
    pub(crate) const fn new(connection: Arc<Connection>, streams: Arc<Streams>) -> Self {
        Self {
            connection,
            streams,
        }
    }

    async fn settle(&self, topic: &str, group: &str, key: &str, fate: Fate) -> Result<usize> {
        names::check_topic(topic)?;
        names::check("group", group)?;
        let names = Names::new(topic, group);
        // What was given up and is not kept yet is kept first: else it would come back alone.
        let tenure = Tenure::vacate(&self.connection, &self.streams, &names).await?;
        let Some(mut tenure) = tenure else {
            return Ok(0);
        };
        let inspect = Inspect::new(Arc::clone(&self.connection));
        let all = inspect.letters(&names, usize::MAX).await?;
        let letters: Vec<&DeadLetter> = all.iter().filter(|letter| letter.key == key).collect();
        let Some(first) = letters.first() else {
            return Ok(0);
        };
        let back = match fate {
            Fate::Skipped => None,
            Fate::Replayed => Some(self.before(&names, first.position).await?),
        };
        tenure
            .release(&self.connection, &names, key, back, letters.len())
            .await?;
        // The key is free by now. Should this be interrupted, what is left here is listed still, and
        // doing it again removes it.
        for letter in &letters {
            self.remove(&names, letter.position).await?;
        }
        Ok(letters.len())
    }

    /// The place before `position`, if the topic still has what lies there.
    async fn before(&self, names: &Names, position: u64) -> Result<(u64, Option<i64>)> {
        let stream = names.stream(&self.connection.config.namespace);
        let doing = format!("looking up a message of `{}`", names.topic);
        let kept = self.connection.get(&doing, &stream, Which::At(position));
        if kept.await?.is_none() {
            let why = format!(
                "the message at {position} of `{}` is too old to be delivered again; it is kept in the \
                 stream `{}`: publish it anew, and skip this one",
                names.topic,
                names.dead_stream(&self.connection.config.namespace)
            );
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let before = position - 1;
        let kept = self.connection.get(&doing, &stream, Which::At(before));
        Ok((before, kept.await?.map(|kept| kept.stamp)))
    }

    async fn remove(&self, names: &Names, position: u64) -> Result<()> {
        let namespace = &self.connection.config.namespace;
        let stream = names.dead_stream(namespace);
        let subject = namespace.dead_subject(&names.topic, &names.group);
        let doing = format!("removing a dead letter of group `{}`", names.group);
        let asked = json!({ "filter": format!("{subject}.{position}") });
        let removed = self
            .connection
            .api::<serde_json::Value>(&doing, &format!("STREAM.PURGE.{stream}"), &asked)
            .await?;
        removed.map(drop).map_err(|error| refused(&doing, error))
    }
}

#[async_trait]
impl ieum_messaging::Operate for Operate {
    async fn replay(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.settle(topic, group, key, Fate::Replayed).await
    }

    async fn skip(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.settle(topic, group, key, Fate::Skipped).await
    }
}
