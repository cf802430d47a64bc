//! The streams of the log that were written to last.
//!
//! A log has no list of its streams: it is read from its end backwards, until the answer is full or
//! [`TAIL`] events were looked at. That works alike on every engine, and costs what is asked for.

use std::collections::HashSet;

use ieum_eventstore::{Event, EventStore, Filter, Position};
use ieum_remote::wire::log::{ListStreams, StreamSummary, Streams};

use super::limits;
use crate::errors::ApiResult;

/// Lists what `query` asks for.
pub(super) async fn list(store: &dyn EventStore, query: &ListStreams) -> ApiResult<Streams> {
    let limit = limits::page(query.limit)?;
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let mut end = store.head().await?.position.0;
    let oldest = end.saturating_sub(TAIL);
    let before = query.after.map_or(u64::MAX, |after| after.0);
    let (mut seen, mut streams) = (HashSet::new(), Vec::new());
    while end > oldest {
        let begin = end.saturating_sub(CHUNK).max(oldest);
        for event in chunk(store, begin, end).await?.into_iter().rev() {
            let is_last = seen.insert(event.stream.clone());
            let is_wanted = event.position.0 < before && event.stream.as_str().starts_with(prefix);
            if !is_last || !is_wanted {
                continue;
            }
            if streams.len() == limit {
                let last = streams.last().map(|stream: &StreamSummary| stream.position);
                return Ok(Streams {
                    streams,
                    next: last,
                    whole: true,
                });
            }
            streams.push(summary(event));
        }
        end = begin;
    }
    Ok(Streams {
        streams,
        next: None,
        whole: oldest == 0,
    })
}

/// The events above position `begin` up to `end`, in order.
async fn chunk(store: &dyn EventStore, begin: u64, end: u64) -> ApiResult<Vec<Event>> {
    let all = Filter::default();
    let (mut events, mut after) = (Vec::new(), begin);
    while after < end {
        let limit = usize::try_from(end - after).unwrap_or(usize::MAX);
        let page = store.read_all(Position(after), &all, limit).await?;
        if page.scanned_to.0 <= after {
            break;
        }
        after = page.scanned_to.0;
        let until_end = |event: &Event| event.position.0 <= end;
        events.extend(page.events.into_iter().filter(until_end));
    }
    Ok(events)
}

fn summary(event: Event) -> StreamSummary {
    StreamSummary {
        stream: event.stream,
        version: event.version,
        position: event.position,
        last_at: Some(event.recorded_at),
    }
}

/// The most events that are looked at.
const TAIL: u64 = 10_000;
/// How many are read at once.
const CHUNK: u64 = 500;
