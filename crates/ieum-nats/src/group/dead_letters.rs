//! Keeping what was given up: in a stream of the group, each message exactly once.
//!
//! The group's entry says first, in the write that moves the checkpoint, what becomes a dead letter;
//! then it is copied. Whoever has the group after a crash in between copies it. A dead letter's
//! subject ends with its place in the topic, and is stored only if there is none under it yet.

use async_nats::HeaderMap;
use ieum_messaging::{DeadLetterReason, Error, ErrorKind, Result};

use super::Names;
use super::record::Aside;
use crate::binding;
use crate::connection::{Connection, NotStored, Which};
use crate::streams::Streams;

/// Copies `asides` from the topic's stream to that of the dead letters.
pub(super) async fn keep(
    connection: &Connection,
    streams: &Streams,
    names: &Names,
    asides: &[Aside],
) -> Result<()> {
    for aside in asides {
        keep_one(connection, streams, names, aside).await?;
    }
    Ok(())
}

async fn keep_one(
    connection: &Connection,
    streams: &Streams,
    names: &Names,
    aside: &Aside,
) -> Result<()> {
    let (topic, group, position) = (&names.topic, &names.group, aside.position);
    let namespace = &connection.config.namespace;
    let doing = format!("keeping a dead letter of group `{group}`");
    let stream = names.stream(namespace);
    let Some(kept) = connection.get(&doing, &stream, Which::At(position)).await? else {
        tracing::error!(
            topic,
            group,
            position,
            "a message that was given up is too old to be kept as a dead letter: it is gone"
        );
        return Ok(());
    };
    streams.dead_letters(connection, topic, group).await?;
    let subject = format!("{}.{position}", namespace.dead_subject(topic, group));
    let headers = headers(connection, &kept.headers, aside);
    match connection
        .store(&doing, subject, headers, kept.payload)
        .await
    {
        Ok(_) | Err(NotStored::Outrun) => Ok(()),
        Err(NotStored::Failed(error)) => Err(error),
        Err(NotStored::NoStream) => {
            streams.forget(&names.dead_stream(namespace));
            Err(Error::new(ErrorKind::Unavailable, doing))
        }
    }
}

/// The message's own headers, without those that mean something to the server, and ours.
fn headers(connection: &Connection, of_message: &HeaderMap, aside: &Aside) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in of_message.iter() {
        let text: &str = name.as_ref();
        if !text.to_ascii_lowercase().starts_with("nats-") {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    match &aside.reason {
        DeadLetterReason::GaveUp(why) => headers.insert(REASON, binding::encoded(why)),
        DeadLetterReason::Behind(at) => headers.insert(BEHIND, at.to_string()),
    }
    headers.insert(POSITION, aside.position.to_string());
    headers.insert(RECORDED_AT, connection.clock.now().to_string());
    // There is none yet under this subject.
    headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    headers
}

/// Header: why the consumer gave up, percent-encoded.
pub(crate) const REASON: &str = "Ieum-Reason";
/// Header: the position of the dead letter that this one waits behind.
pub(crate) const BEHIND: &str = "Ieum-Behind";
/// Header: the message's position in its topic.
pub(crate) const POSITION: &str = "Ieum-Position";
/// Header: when it was set aside.
pub(crate) const RECORDED_AT: &str = "Ieum-Recorded-At";
