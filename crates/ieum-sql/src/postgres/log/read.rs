//! Reading: each answer is one statement, hence of one snapshot (H07), in a stated order (H08).

use ieum_base::Uuid;
use ieum_eventstore::{
    Error, ErrorKind, Event, Filter, Head, Page, Position, Result, StreamName, Version,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::row::{COLUMNS, event_of, signed, unsigned};
use crate::postgres::Pool;

/// How many positions a read looks at when its filter has no index, so that no read is unbounded.
const WINDOW: u64 = 50_000;

/// Reads at most `limit` events of `stream` with a version above `after`, in order, inside the
/// caller's own transaction or snapshot.
pub async fn read_in(
    transaction: &Transaction<'_>,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<Vec<Event>> {
    let rows = transaction
        .query(
            &stream_sql(),
            &[&stream.as_str(), &signed(after.0), &clamp(limit)],
        )
        .await
        .map_err(crate::Error::from)?;
    events(&rows)
}

pub(super) async fn stream(
    pool: &Pool,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<Vec<Event>> {
    let parameters: [&(dyn ToSql + Sync); 3] = [&stream.as_str(), &signed(after.0), &clamp(limit)];
    events(&pool.query(&stream_sql(), &parameters).await?)
}

/// Reads a page of the whole log, and the head of the same moment.
pub(super) async fn page(
    pool: &Pool,
    after: Position,
    filter: &Filter,
    limit: usize,
) -> Result<Page> {
    let (from, most) = (signed(after.0), clamp(limit));
    let end = signed(after.0.saturating_add(WINDOW));
    let rows = match (&*filter.categories, &*filter.types) {
        ([], []) => {
            pool.query(&page_sql("v.position > $1"), &[&from, &most])
                .await?
        }
        ([category], []) => {
            let wanted = page_sql("v.position > $1 AND v.category = $3");
            pool.query(&wanted, &[&from, &most, category]).await?
        }
        (categories, types) => {
            let wanted = page_sql(
                "v.position > $1 AND v.position <= $3 \
                 AND (cardinality($4::text[]) = 0 OR v.category = ANY ($4)) \
                 AND (cardinality($5::text[]) = 0 OR v.type = ANY ($5))",
            );
            let parameters: [&(dyn ToSql + Sync); 5] = [&from, &most, &end, &categories, &types];
            pool.query(&wanted, &parameters).await?
        }
    };
    let head = head_in(rows.first())?;
    head.accept_position(after)?;
    let scans = !filter.types.is_empty() || filter.categories.len() > 1;
    let looked_at = if scans {
        Position(unsigned(end)).min(head.position)
    } else {
        head.position
    };
    paged(
        &rows,
        head,
        after,
        looked_at,
        usize::try_from(most).unwrap_or(0),
    )
}

fn paged(
    rows: &[Row],
    head: Head,
    after: Position,
    looked_at: Position,
    limit: usize,
) -> Result<Page> {
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        // The head comes alone if nothing matched.
        if row.try_get::<_, Option<i64>>(2).map_err(unfit)?.is_some() {
            events.push(event_of(row, 2)?);
        }
    }
    let full = events.len() == limit;
    let last = events.last().map_or(after, |event| event.position);
    Ok(Page {
        scanned_to: if full { last } else { looked_at },
        events,
        head,
    })
}

pub(super) async fn head(pool: &Pool) -> Result<Head> {
    head_in(pool.query(HEAD, &[]).await?.first())
}

/// The head, by a connection that is not of the pool.
pub(super) async fn head_of(client: &Client) -> crate::Result<Head> {
    let row = client.query_one(HEAD, &[]).await?;
    head_in(Some(&row))
        .map_err(|error| crate::Error::new(crate::ErrorKind::Corrupt, error.to_string()))
}

/// The head in the first two columns of a row.
pub(super) fn head_in(row: Option<&Row>) -> Result<Head> {
    let row = row.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the log has no head"))?;
    let incarnation: Uuid = row.try_get(0).map_err(unfit)?;
    Ok(Head {
        incarnation,
        position: Position(unsigned(row.try_get(1).map_err(unfit)?)),
    })
}

pub(super) fn unfit(error: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "a column of the log").caused_by(error)
}

fn events(rows: &[Row]) -> Result<Vec<Event>> {
    rows.iter().map(|row| event_of(row, 0)).collect()
}

fn stream_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM ieum_events v WHERE v.stream = $1 AND v.version > $2 \
         ORDER BY v.version LIMIT $3"
    )
}

/// The head beside each event that matches, once without an event if none does.
fn page_sql(wanted: &str) -> String {
    format!(
        "SELECT l.incarnation, l.position AS head, e.* FROM ieum_log l LEFT JOIN LATERAL \
         (SELECT {COLUMNS} FROM ieum_events v WHERE {wanted} ORDER BY v.position LIMIT $2) e \
         ON true ORDER BY e.position"
    )
}

fn clamp(limit: usize) -> i64 {
    signed(limit.min(Page::MAX_EVENTS) as u64)
}

const HEAD: &str = "SELECT incarnation, position FROM ieum_log";
