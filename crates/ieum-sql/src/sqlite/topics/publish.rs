//! Publishing: messages that are not in the log yet become events of the topic's category.

use std::collections::HashMap;

use async_trait::async_trait;
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Write};
use ieum_messaging::{Error, ErrorKind, Message, Publisher, Result, names};

use super::message::{stream_of, to_event};
use super::{Topics, log_error, note_topic};
use crate::sqlite::Tx;
use crate::sqlite::log::{Failure, append_checked, recorded};

#[async_trait]
impl Publisher for Topics {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        names::check_topic(topic)?;
        if messages.is_empty() {
            return Ok(());
        }
        if messages.len() > Append::MAX_EVENTS {
            let why = format!("at most {} messages at once", Append::MAX_EVENTS);
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let mut events = Vec::with_capacity(messages.len());
        for message in messages {
            message
                .validate(&self.config.limits)
                .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
            events.push((
                stream_of(topic, message.ordering_key())?,
                to_event(message)?,
            ));
        }
        let (topic, most) = (topic.to_owned(), self.config.topics);
        self.log
            .database()
            .write(move |tx| {
                note_topic(tx, &topic, most)?;
                publish(tx, &topic, events)
            })
            .await
    }
}

/// Appends what is not in the log yet. A relay that crashed before it marked its rows sends some of
/// them again, together with new ones: that is no error.
fn publish(tx: &Tx<'_>, topic: &str, events: Vec<(StreamName, NewEvent)>) -> Result<()> {
    let mut writes: Vec<Write> = Vec::new();
    let mut by_stream: HashMap<StreamName, usize> = HashMap::new();
    let mut kinds: HashMap<uuid::Uuid, String> = HashMap::with_capacity(events.len());
    for (stream, event) in events {
        if is_known(tx, topic, &event, &kinds)? {
            continue;
        }
        kinds.insert(event.id, event.kind.clone());
        let place = *by_stream.entry(stream.clone()).or_insert(writes.len());
        match writes.get_mut(place) {
            Some(write) => write.events.push(event),
            None => writes.push(Write {
                stream,
                expect: Expect::Any,
                events: vec![event],
            }),
        }
    }
    if writes.is_empty() {
        return Ok(());
    }
    let append = Append {
        writes,
        ..Append::default()
    };
    append.check().map_err(log_error)?;
    append_checked(tx, &append).map_err(|failure| log_error(failure.into()))?;
    Ok(())
}

/// True if the message is in the log or earlier in the batch; an error if its id means another one.
fn is_known(
    tx: &Tx<'_>,
    topic: &str,
    event: &NewEvent,
    batch: &HashMap<uuid::Uuid, String>,
) -> Result<bool> {
    if let Some(kind) = batch.get(&event.id) {
        return same(kind == &event.kind, event);
    }
    let found = recorded(tx, event.id).map_err(|failure: Failure| log_error(failure.into()))?;
    let Some(found) = found else {
        return Ok(false);
    };
    let category = found.stream.split('-').next();
    same(category == Some(topic) && found.kind == event.kind, event)
}

fn same(is_same: bool, event: &NewEvent) -> Result<bool> {
    if is_same {
        return Ok(true);
    }
    let name = |name: &str| event.metadata.other.get(name).cloned().unwrap_or_default();
    let why = format!(
        "the id {} of source {} was used for another message",
        name("id"),
        name("source")
    );
    Err(Error::new(ErrorKind::Invalid, why))
}
