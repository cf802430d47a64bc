//! The streams that a system needs: made if they are missing, taken as they are if they exist.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, Info, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, ErrorCode};
use ieum_messaging::{Error, ErrorKind, Result};
use serde_json::json;

use crate::connection::Connection;
use crate::error::refused;

/// The streams that were seen through one connection.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashSet<String>>);

/// The most streams that are remembered; others are looked at each time.
const REMEMBERED: usize = 10_000;

impl Streams {
    /// Makes sure of the stream of `topic`.
    pub(crate) async fn topic(&self, connection: &Connection, topic: &str) -> Result<()> {
        let namespace = &connection.config.namespace;
        let wanted = StreamConfig {
            name: namespace.topic_stream(topic),
            subjects: vec![namespace.topic_subject(topic)],
            description: Some(format!("{TOPIC}{topic}")),
            max_age: connection.config.max_age,
            max_bytes: match connection.config.max_bytes.0 {
                0 => -1,
                bytes => i64::try_from(bytes).unwrap_or(i64::MAX),
            },
            duplicate_window: connection.config.duplicates,
            ..base(connection)
        };
        self.ensure(connection, wanted).await
    }

    /// Makes sure of the bucket of the groups' states: a key-value bucket as JetStream's clients make
    /// it, of which only the leader is read.
    pub(crate) async fn bucket(&self, connection: &Connection) -> Result<()> {
        let namespace = &connection.config.namespace;
        let wanted = StreamConfig {
            name: namespace.bucket_stream(),
            subjects: vec![format!("$KV.{}.>", namespace.bucket())],
            description: Some("where consumer groups stand".to_owned()),
            max_messages_per_subject: 1,
            allow_rollup: true,
            deny_delete: true,
            ..base(connection)
        };
        self.ensure(connection, wanted).await
    }

    /// Makes sure of the stream of a group's dead letters.
    pub(crate) async fn dead_letters(
        &self,
        connection: &Connection,
        topic: &str,
        group: &str,
    ) -> Result<()> {
        let namespace = &connection.config.namespace;
        let wanted = StreamConfig {
            name: namespace.dead_stream(topic, group),
            subjects: vec![format!("{}.*", namespace.dead_subject(topic, group))],
            description: Some(format!("dead letters of group {group} on topic {topic}")),
            ..base(connection)
        };
        self.ensure(connection, wanted).await
    }

    /// Looks at the stream anew the next time: it seems to be gone.
    pub(crate) fn forget(&self, stream: &str) {
        self.lock().remove(stream);
    }

    async fn ensure(&self, connection: &Connection, wanted: StreamConfig) -> Result<()> {
        if self.lock().contains(&wanted.name) {
            return Ok(());
        }
        let found = match info(connection, &wanted.name).await? {
            Some(found) => found,
            None => create(connection, &wanted).await?,
        };
        check(&found, &wanted)?;
        let mut seen = self.lock();
        if seen.len() < REMEMBERED {
            seen.insert(wanted.name);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stream is and holds; `None` if there is none.
pub(crate) async fn info(connection: &Connection, stream: &str) -> Result<Option<Info>> {
    let doing = format!("looking at the stream `{stream}`");
    let subject = format!("STREAM.INFO.{stream}");
    match connection.api(&doing, &subject, &json!({})).await? {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(refused(&doing, error)),
    }
}

/// Begins the description of a topic's stream; the topic's name follows.
pub(crate) const TOPIC: &str = "topic ";

/// What all streams of ours have: on disk, nothing thrown away to make room.
fn base(connection: &Connection) -> StreamConfig {
    StreamConfig {
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        num_replicas: connection.config.replicas,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        ..StreamConfig::default()
    }
}

async fn create(connection: &Connection, wanted: &StreamConfig) -> Result<Info> {
    let name = &wanted.name;
    let doing = format!("making the stream `{name}`");
    let subject = format!("STREAM.CREATE.{name}");
    match connection.api(&doing, &subject, wanted).await? {
        Ok(made) => Ok(made),
        // Somebody else was faster, and meant something else.
        Err(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            let found = info(connection, name).await?;
            found.ok_or_else(|| refused(&doing, error))
        }
        Err(error) => Err(no_room_or(&doing, error)),
    }
}

fn no_room_or(doing: &str, error: jetstream::Error) -> Error {
    if error.code() != 400 {
        return refused(doing, error);
    }
    // Such as limits of the account that the settings of the URL do not fit.
    let why = format!("{doing}: {error}");
    Error::new(ErrorKind::Invalid, why).caused_by(error)
}

/// A stream that exists is used as it is, if it can hold what is meant for it.
fn check(found: &Info, wanted: &StreamConfig) -> Result<()> {
    let config = &found.config;
    let taken = wanted.subjects.iter().all(|subject| {
        let mut patterns = config.subjects.iter();
        patterns.any(|pattern| covers(pattern, subject))
    });
    let name = &config.name;
    if !taken {
        let why = format!(
            "the stream `{name}` exists and does not take the subject `{}`: add it to the stream, or \
             remove the stream",
            wanted.subjects.join("`, `")
        );
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    if config.no_ack || config.sealed || config.retention != RetentionPolicy::Limits {
        let why = format!(
            "the stream `{name}` exists and keeps its messages otherwise than by limits, or takes or \
             answers none: groups cannot read it"
        );
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    if config.storage == StorageType::Memory {
        tracing::warn!(
            stream = name,
            "the stream is kept in memory: a restart of the server loses it"
        );
    }
    Ok(())
}

/// Whether a stream's subject, which may have wildcards, takes all of another.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut patterns, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (patterns.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(pattern), Some(token)) if pattern == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn wildcards_take_what_they_mean() {
        for (pattern, subject, wanted) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("$KV.x.>", "$KV.x.>", true),
            ("a.*", "a.>", false),
            ("a.*", "a", false),
            ("a.b", "a.c", false),
            ("a", "a.b", false),
        ] {
            assert_eq!(covers(pattern, subject), wanted, "{pattern} {subject}");
        }
    }
}
