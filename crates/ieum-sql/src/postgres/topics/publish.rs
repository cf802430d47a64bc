//! Publishing: messages that are not in the log yet become events of the topic's category.

use std::collections::HashMap;

use async_trait::async_trait;
use ieum_base::Uuid;
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Write};
use ieum_messaging::{Error, ErrorKind, Message, Publisher, Result, names};

use super::Topics;
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
            let stream = stream_of(topic, message.ordering_key())?;
            events.push((stream, to_event(message)?));
        }
        self.note_topic(topic).await?;
        self.append_missing(once_each(events)?).await
    }
}

impl Topics {
    /// Appends what is not in the log yet. A relay that crashed before it marked its rows sends some
    /// of them again, together with new ones: that is no error. Nothing is ever taken from the log's
    /// ids, so each round has fewer left.
    async fn append_missing(&self, mut events: Vec<(StreamName, NewEvent)>) -> Result<()> {
        while !events.is_empty() {
            let error = match self.log.append_runs(runs(&events)).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if *error.kind() != ieum_eventstore::ErrorKind::PartialDuplicate {
                return Err(log_error(error));
            }
            let known = self.known(&events).await?;
            let mut missing = Vec::with_capacity(events.len());
            for (stream, event) in events {
                match known.get(&event.id) {
                    None => missing.push((stream, event)),
                    Some(known) => {
                        same(*known == (stream.to_string(), event.kind.clone()), &event)?
                    }
                }
            }
            events = missing;
        }
        Ok(())
    }

    /// The stream and the type of those that are in the log.
    async fn known(
        &self,
        events: &[(StreamName, NewEvent)],
    ) -> Result<HashMap<Uuid, (String, String)>> {
        let ids: Vec<Uuid> = events.iter().map(|(_, event)| event.id).collect();
        let sql = "SELECT id, stream, type FROM ieum_events WHERE id = ANY($1)";
        let rows = self.rows(sql, &[&ids]).await?;
        let known = rows
            .iter()
            .map(|row| (row.get(0), (row.get(1), row.get(2))));
        Ok(known.collect())
    }
}

/// The batch without repetitions; an error if an id stands for two messages.
fn once_each(events: Vec<(StreamName, NewEvent)>) -> Result<Vec<(StreamName, NewEvent)>> {
    let mut kept: Vec<(StreamName, NewEvent)> = Vec::with_capacity(events.len());
    let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(events.len());
    for (stream, event) in events {
        match places.get(&event.id) {
            Some(&place) => same(kept[place].1.kind == event.kind, &event)?,
            None => {
                places.insert(event.id, kept.len());
                kept.push((stream, event));
            }
        }
    }
    Ok(kept)
}

/// The batch as runs of one key each, in its order.
fn runs(events: &[(StreamName, NewEvent)]) -> Vec<Write> {
    let mut runs: Vec<Write> = Vec::new();
    for (stream, event) in events {
        match runs.last_mut().filter(|run| run.stream == *stream) {
            Some(run) => run.events.push(event.clone()),
            None => runs.push(Write {
                stream: stream.clone(),
                expect: Expect::Any,
                events: vec![event.clone()],
            }),
        }
    }
    runs
}

fn same(is_same: bool, event: &NewEvent) -> Result<()> {
    if is_same {
        return Ok(());
    }
    let name = |name: &str| event.metadata.other.get(name).cloned().unwrap_or_default();
    let why = format!(
        "the id {} of source {} was used for another message",
        name("id"),
        name("source")
    );
    Err(Error::new(ErrorKind::Invalid, why))
}
