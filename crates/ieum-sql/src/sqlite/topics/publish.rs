//! Publishing: messages that are not in the log yet become events of the topic's category.

use std::collections::HashMap;

use async_trait::async_trait;
use ieum_base::Uuid;
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Write};
use ieum_messaging::{Error, ErrorKind, Message, Publisher, Result, names};

use super::{Topics, failed, note_topic};
use crate::sqlite::Tx;
use crate::sqlite::log::{append_checked, recorded};
use crate::topics::{log_error, stream_of, to_event};

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

/// Appends what is not in the log yet, in the order of the batch. A relay that crashed before it
/// marked its rows sends some of them again, together with new ones: that is no error.
fn publish(tx: &Tx<'_>, topic: &str, events: Vec<(StreamName, NewEvent)>) -> Result<()> {
    let mut runs: Vec<Write> = Vec::new();
    let mut kinds: HashMap<Uuid, String> = HashMap::with_capacity(events.len());
    for (stream, event) in events {
        if is_known(tx, topic, &event, &kinds)? {
            continue;
        }
        kinds.insert(event.id, event.kind.clone());
        match runs.last_mut().filter(|run| run.stream == stream) {
            Some(run) => run.events.push(event),
            None => runs.push(Write {
                stream,
                expect: Expect::Any,
                events: vec![event],
            }),
        }
    }
    // An append takes a stream once, so each run of one key is an append in the same transaction.
    for run in runs {
        let append = Append {
            writes: vec![run],
            ..Append::default()
        };
        append.check().map_err(log_error)?;
        append_checked(tx, &append).map_err(failed)?;
    }
    Ok(())
}

/// True if the message is in the log or earlier in the batch; an error if its id means another one.
fn is_known(
    tx: &Tx<'_>,
    topic: &str,
    event: &NewEvent,
    batch: &HashMap<Uuid, String>,
) -> Result<bool> {
    if let Some(kind) = batch.get(&event.id) {
        return same(kind == &event.kind, event);
    }
    let found = recorded(tx, event.id).map_err(failed)?;
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
