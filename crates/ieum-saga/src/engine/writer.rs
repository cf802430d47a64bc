//! Writing to the log under the engine's epoch.
//!
//! Every append of the engine goes through here: it carries the fence, and what the log refuses for
//! the moment is appended again, *the same events with the same ids*, until it is settled. An append
//! whose fate is unknown is never followed by a different one.

use std::sync::Arc;

use ieum_base::Uuid;
use ieum_eventstore::{
    Append, Appended, ErrorKind, Event, EventStore, Expect, Metadata, NewEvent, StreamName, Version,
};

use super::config::STORE_BACKOFF;
use super::shared::Shared;
use super::{Error, error};
use crate::events::{Recorded, stream};

/// Why an append was given up.
#[derive(Debug)]
pub(super) enum Refused {
    /// A later engine has taken over.
    Superseded,
    /// The engine is stopping, and the log did not take the events yet.
    Stopping,
    /// Somebody else wrote to the stream.
    Conflict,
    /// The log will never take it.
    ForGood(ieum_eventstore::Error),
}

impl Refused {
    pub(super) fn into_error(self, context: &str) -> Error {
        match self {
            Self::Superseded => Error::new(error::ErrorKind::Superseded, context),
            Self::Stopping => Error::new(error::ErrorKind::Stopping, context),
            Self::Conflict => Error::new(error::ErrorKind::Log, format!("{context}: lost a race")),
            Self::ForGood(cause) => Error::from(cause),
        }
    }
}

impl Shared {
    /// Appends, and repeats while the log is only away or full.
    pub(super) async fn append(
        &self,
        stream: StreamName,
        expect: Expect,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Refused> {
        let append = Append::to(stream, expect, events).fenced(self.fence.clone());
        for attempt in 1_u32.. {
            let error = match self.store.append(append.clone()).await {
                Ok(appended) => return Ok(appended),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Fenced { .. } => {
                    self.give_way();
                    return Err(Refused::Superseded);
                }
                ErrorKind::Conflict { .. } => return Err(Refused::Conflict),
                _ if !error.retry().is_worthwhile() => return Err(Refused::ForGood(error)),
                _ => {}
            }
            tracing::warn!(%error, attempt, "the log does not take a saga's events; again");
            let wait = STORE_BACKOFF.delay(attempt, &self.rng);
            let stop = self.tasks.stop();
            if stop
                .unless_requested(self.clock.sleep(wait))
                .await
                .is_none()
            {
                return Err(Refused::Stopping);
            }
        }
        Err(Refused::Stopping)
    }

    /// The events of one saga, from version `first` on. Their ids follow from saga, epoch and
    /// version: this engine's repetition is recognised, and another engine's event never is.
    pub(super) fn saga_events(
        &self,
        id: Uuid,
        first: u64,
        facts: &[Recorded],
        traceparent: &str,
    ) -> Result<Vec<NewEvent>, serde_json::Error> {
        let numbered = (first..).zip(facts);
        numbered
            .map(|(version, recorded)| {
                let name = format!("{}/{version}", self.fence.epoch);
                let metadata = Metadata {
                    traceparent: Some(traceparent.to_owned()),
                    correlation: Some(id.to_string()),
                    ..Metadata::default()
                };
                recorded.to_event(Uuid::new_v5(&id, name.as_bytes()), metadata)
            })
            .collect()
    }
}

/// Every event of a stream, read in pages.
pub(super) async fn read_whole(
    store: &Arc<dyn EventStore>,
    stream: &StreamName,
) -> ieum_eventstore::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(Version(0), |event| event.version);
        let page = store.read_stream(stream, after, PAGE).await?;
        let is_last = page.len() < PAGE;
        events.extend(page);
        if is_last {
            return Ok(events);
        }
    }
}

/// Every event of a saga; empty if there is no such saga.
pub(super) async fn read_saga(
    store: &Arc<dyn EventStore>,
    id: Uuid,
) -> Result<Vec<Recorded>, Error> {
    let name = stream(id).map_err(|error| {
        Error::new(error::ErrorKind::UnknownSaga, id.to_string()).caused_by(error)
    })?;
    let events = read_whole(store, &name).await?;
    let facts: Result<Vec<_>, _> = events.iter().map(Recorded::from_event).collect();
    facts.map_err(|error| {
        let context = format!("saga {id} was written by a newer version: {error}");
        Error::new(error::ErrorKind::Unreadable, context).caused_by(error)
    })
}

/// How many events are read at once.
const PAGE: usize = 1_000;
