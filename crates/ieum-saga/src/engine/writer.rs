//! Writing to the log under an owner's epoch.
//!
//! Every append of the engine goes through here: it carries the owner's fence, and what the log
//! refuses for the moment is appended again, *the same events with the same ids*, until it is
//! settled. An append whose fate is unknown is never followed by a different one.

use std::sync::Arc;

use ieum_base::Stop;
use ieum_eventstore::{
    Append, Appended, ErrorKind, Event, EventStore, Expect, NewEvent, StreamName, Version, Write,
};

use super::config::STORE_BACKOFF;
use super::right::Right;
use super::shared::Shared;
use super::{Error, error};
use crate::events::{Recorded, stream};

/// Why an append was given up.
#[derive(Debug)]
pub(super) enum Refused {
    /// A later owner has taken over.
    Superseded,
    /// The owner is stopping, and the log did not take the events yet.
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
    /// Appends to one stream by the right that everybody has: that of the engine if it is alone on
    /// its log, none if it shares it. Then expectations and ids alone decide.
    pub(super) async fn append(
        &self,
        stream: StreamName,
        expect: Expect,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Refused> {
        let write = Write {
            stream,
            expect,
            events,
        };
        let right = self.own_right();
        self.append_as(right, self.tasks.stop(), vec![write]).await
    }

    /// Appends under a right, and repeats while the log is only away or full, until `stop`.
    pub(super) async fn append_as(
        &self,
        right: Option<&Right>,
        stop: &Stop,
        writes: Vec<Write>,
    ) -> Result<Appended, Refused> {
        let append = Append {
            writes,
            condition: None,
            fence: right.map(|right| right.fence().clone()),
        };
        for attempt in 1_u32.. {
            let error = match self.store.append(append.clone()).await {
                Ok(appended) => return Ok(appended),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Fenced { .. } => {
                    self.give_way(right);
                    return Err(Refused::Superseded);
                }
                ErrorKind::Conflict { .. } => return Err(Refused::Conflict),
                _ if !error.retry().is_worthwhile() => return Err(Refused::ForGood(error)),
                _ => {}
            }
            tracing::warn!(%error, attempt, "the log does not take a saga's events; again");
            let wait = STORE_BACKOFF.delay(attempt, &self.rng);
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
    id: ieum_base::Uuid,
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
