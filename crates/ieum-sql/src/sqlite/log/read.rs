//! Reading, on any connection.

use ieum_base::Uuid;
use ieum_eventstore::{Event, Filter, Head, Page, Position, Result, StreamName, Version};
use rusqlite::Connection;

use super::failure::Failure;
use super::row::{self, columns, signed, unsigned};

/// How many positions a read looks at when its filter has no index, so that no read is unbounded.
const WINDOW: u64 = 50_000;

/// Reads at most `limit` events of `stream` with a version above `after`, in order, inside the
/// caller's own transaction or snapshot.
pub fn read_in(
    connection: &Connection,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<Vec<Event>> {
    Ok(stream_events(connection, stream, after, limit)?)
}

fn stream_events(
    connection: &Connection,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM ieum_events WHERE stream = ?1 AND version > ?2 ORDER BY version LIMIT ?3"
    ))?;
    let mut rows = statement.query((stream.as_str(), signed(after.0), clamp(limit)))?;
    collect(&mut rows, limit, |_| Ok(true))
}

/// Reads a page of the whole log.
pub(super) fn page(
    connection: &Connection,
    after: Position,
    filter: &Filter,
    limit: usize,
) -> Result<Page, Failure> {
    let head = head(connection)?;
    head.accept_position(after)?;
    let limit = limit.min(Page::MAX_EVENTS);
    let (events, end) = match (&*filter.categories, &*filter.types) {
        ([], []) => (
            scan(connection, after, head.position, limit, None)?,
            head.position,
        ),
        ([category], []) => (
            category_events(connection, category, after, limit)?,
            head.position,
        ),
        _ => {
            let end = Position(after.0.saturating_add(WINDOW)).min(head.position);
            (scan(connection, after, end, limit, Some(filter))?, end)
        }
    };
    let full = events.len() == limit;
    let last = events.last().map_or(after, |event| event.position);
    Ok(Page {
        scanned_to: if full { last } else { end },
        events,
        head,
    })
}

/// The events of one category after a position, by its index.
pub(crate) fn category_events(
    connection: &Connection,
    category: &str,
    after: Position,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM ieum_events INDEXED BY ieum_events_by_category \
         WHERE category = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
    ))?;
    let mut rows = statement.query((category, signed(after.0), clamp(limit)))?;
    collect(&mut rows, limit, |_| Ok(true))
}

/// The event at one position.
pub(crate) fn event_at(
    connection: &Connection,
    position: Position,
) -> Result<Option<Event>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM ieum_events WHERE position = ?1"
    ))?;
    let mut rows = statement.query([signed(position.0)])?;
    Ok(collect(&mut rows, 1, |_| Ok(true))?.pop())
}

/// The incarnation and the last position.
pub(crate) fn head(connection: &Connection) -> Result<Head, Failure> {
    let mut statement = connection.prepare_cached("SELECT incarnation, position FROM ieum_log")?;
    let (incarnation, position) = statement.query_row([], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
    })?;
    Ok(Head {
        incarnation: incarnation_of(&incarnation)?,
        position: Position(unsigned(position)),
    })
}

/// Reads an incarnation as it is stored.
pub(crate) fn incarnation_of(bytes: &[u8]) -> Result<Uuid, Failure> {
    Uuid::from_slice(bytes).map_err(|_| Failure::corrupt("the log's incarnation"))
}

fn scan(
    connection: &Connection,
    after: Position,
    end: Position,
    limit: usize,
    filter: Option<&Filter>,
) -> Result<Vec<Event>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM ieum_events WHERE position > ?1 AND position <= ?2 ORDER BY position"
    ))?;
    let mut rows = statement.query((signed(after.0), signed(end.0)))?;
    collect(&mut rows, limit, |row| {
        let Some(filter) = filter else {
            return Ok(true);
        };
        let stream: std::borrow::Cow<'_, [u8]> = bytes(row, 1)?.into();
        let category = stream
            .split(|byte| *byte == b'-')
            .next()
            .unwrap_or_default();
        let kind = bytes(row, 4)?;
        let (categories, types) = (&filter.categories, &filter.types);
        Ok(
            (categories.is_empty() || categories.iter().any(|c| c.as_bytes() == category))
                && (types.is_empty() || types.iter().any(|t| t.as_bytes() == kind)),
        )
    })
}

fn bytes<'a>(row: &'a rusqlite::Row<'_>, at: usize) -> Result<&'a [u8], Failure> {
    row.get_ref(at)?
        .as_bytes()
        .map_err(|_| Failure::corrupt(format!("an event's column {at}")))
}

fn collect(
    rows: &mut rusqlite::Rows<'_>,
    limit: usize,
    mut wanted: impl FnMut(&rusqlite::Row<'_>) -> Result<bool, Failure>,
) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    while events.len() < limit {
        let Some(row) = rows.next()? else { break };
        if wanted(row)? {
            events.push(row::read(row)?);
        }
    }
    Ok(events)
}

fn clamp(limit: usize) -> i64 {
    signed(limit.min(Page::MAX_EVENTS) as u64)
}
