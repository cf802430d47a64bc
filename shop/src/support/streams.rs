//! Event-sourced aggregates in a service's own database: read, fold, append.

use ieum::eventstore::{Append, Event, Expect, Metadata, NewEvent, StreamName, Version};
use ieum::sql::sqlite::log;
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{Failure, Reply};
use super::work::Work;

/// The most events of one aggregate that are folded. An order has a few dozen.
const MOST_EVENTS: usize = 4_096;

/// The stream of the aggregate `id`. An id that cannot be one names nothing.
pub(crate) fn name(category: &str, id: &str) -> Reply<StreamName> {
    StreamName::new(category, id).map_err(|_| Failure::not_found(category))
}

/// All events of a stream, oldest first.
pub(crate) fn read(db: &Connection, stream: &StreamName) -> Reply<Vec<Event>> {
    let events = log::read_in(db, stream, Version::default(), MOST_EVENTS);
    events.map_err(Failure::internal)
}

/// The state that a stream's events add up to, and the stream's version.
pub(crate) fn fold<S: Default, E: DeserializeOwned>(
    db: &Connection,
    stream: &StreamName,
    evolve: fn(S, &E) -> S,
) -> Reply<(S, Version)> {
    fold_all(&read(db, stream)?, evolve)
}

/// The state that these events add up to, and the version of the last.
pub(crate) fn fold_all<S: Default, E: DeserializeOwned>(
    events: &[Event],
    evolve: fn(S, &E) -> S,
) -> Reply<(S, Version)> {
    let mut state = S::default();
    let mut version = Version::default();
    for event in events {
        state = evolve(state, &decode(event)?);
        version = event.version;
    }
    Ok((state, version))
}

/// Reads a stored event as the enum that it was written from.
pub(crate) fn decode<E: DeserializeOwned>(event: &Event) -> Reply<E> {
    let data: Value = serde_json::from_str(event.data.get())?;
    let tagged = serde_json::json!({ "type": event.kind, "data": data });
    Ok(serde_json::from_value(tagged)?)
}

/// Appends what happened. Somebody else's append in between is a conflict, which cannot happen inside
/// the transaction that read `version`.
///
/// `E` is an enum with `#[serde(tag = "type", content = "data")]`.
pub(crate) fn append<E: Serialize>(
    work: &Work<'_>,
    stream: &StreamName,
    version: Version,
    events: &[E],
) -> Reply<()> {
    if events.is_empty() {
        return Ok(());
    }
    let metadata = Metadata {
        traceparent: work.traceparent().map(str::to_owned),
        ..Metadata::default()
    };
    let events: Vec<NewEvent> = events
        .iter()
        .map(|event| {
            let mut tagged = serde_json::to_value(event)?;
            let kind = tagged["type"].as_str().unwrap_or_default().to_owned();
            let event = NewEvent::new(work.new_id(), kind, &tagged["data"].take())?;
            Ok(event.with_metadata(metadata.clone()))
        })
        .collect::<Result<_, serde_json::Error>>()?;
    let append = Append::to(stream.clone(), Expect::Version(version), events);
    log::append_in(work.tx(), &append).map_err(Failure::internal)?;
    Ok(())
}
