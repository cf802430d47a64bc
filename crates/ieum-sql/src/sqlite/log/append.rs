//! Appending, inside a transaction.
//!
//! Every check reads the tables, never a cache, so a rollback needs no undoing and a condition sees
//! what earlier callers of the same batch appended.

use std::fmt::Write as _;

use ieum_base::Uuid;
use ieum_eventstore::{
    Append, Appended, Condition, Error, ErrorKind, Fence, NewEvent, Position, Recorded, Result,
    StreamName, Version,
};
use rusqlite::{OptionalExtension, params_from_iter};

use super::failure::Failure;
use super::read;
use super::row::{Stored, signed, unsigned};
use crate::sqlite::Tx;

/// Appends in the caller's transaction, so that events and the caller's own rows (its outbox, its
/// inbox) commit together. The database was opened with [`MIGRATIONS`](super::MIGRATIONS).
///
/// The promises are those of [`EventStore::append`](ieum_eventstore::EventStore::append); durable
/// once the write has answered. A writer's epoch is looked at before anything else.
pub fn append_in(tx: &Tx<'_>, append: &Append) -> Result<Appended> {
    append.check()?;
    tx.nested(|| append_checked(tx, append).map_err(Error::from))
}

/// For a caller whose own error forgets everything that the append did.
pub(crate) fn append_checked(tx: &Tx<'_>, append: &Append) -> Result<Appended, Failure> {
    if let Some(fence) = &append.fence {
        check_fence(tx, fence)?;
    }
    if let Some(first_time) = append.settle(|id| recorded(tx, id))? {
        return Ok(first_time);
    }
    let actual = check_expectations(tx, append)?;
    if let Some(condition) = &append.condition {
        check_condition(tx, condition)?;
    }
    write(tx, append, &actual)
}

/// Where the event with `id` stands, if it is in the log.
pub(crate) fn recorded(tx: &Tx<'_>, id: Uuid) -> Result<Option<Recorded>, Failure> {
    let mut statement =
        tx.prepare_cached("SELECT stream, type, position, version FROM ieum_events WHERE id = ?1")?;
    let found = statement.query_row([id.as_bytes().as_slice()], |row| {
        Ok(Recorded {
            stream: row.get(0)?,
            kind: row.get(1)?,
            position: Position(unsigned(row.get(2)?)),
            version: Version(unsigned(row.get(3)?)),
        })
    });
    Ok(found.optional()?)
}

pub(super) fn check_fence(tx: &Tx<'_>, fence: &Fence) -> Result<(), Failure> {
    let mut statement = tx.prepare_cached("SELECT epoch FROM ieum_fences WHERE name = ?1")?;
    let actual = statement
        .query_row([&fence.name], |row| row.get(0))
        .optional()?
        .map_or(0, unsigned);
    if actual == fence.epoch {
        return Ok(());
    }
    let context = format!("writing as `{}` in epoch {}", fence.name, fence.epoch);
    Err(Error::new(ErrorKind::Fenced { actual }, context).into())
}

/// The version of each stream, if all are as expected.
fn check_expectations(tx: &Tx<'_>, append: &Append) -> Result<Vec<Version>, Failure> {
    let mut statement = tx.prepare_cached("SELECT version FROM ieum_streams WHERE name = ?1")?;
    let mut versions = Vec::with_capacity(append.writes.len());
    for write in &append.writes {
        let actual = statement
            .query_row([write.stream.as_str()], |row| row.get(0))
            .optional()?
            .map_or(Version::default(), |version| Version(unsigned(version)));
        if !write.expect.admits(actual) {
            let stream = write.stream.clone();
            let kind = ErrorKind::Conflict { stream, actual };
            return Err(Error::new(kind, format!("expected {:?}", write.expect)).into());
        }
        versions.push(actual);
    }
    Ok(versions)
}

fn check_condition(tx: &Tx<'_>, condition: &Condition) -> Result<(), Failure> {
    read::head(tx)?.accept_position(condition.after)?;
    let Some((first, others)) = condition.tags.split_first() else {
        return Ok(());
    };
    let mut sql = String::from(
        "SELECT t.position FROM ieum_tags t JOIN ieum_events e ON e.position = t.position \
         WHERE t.tag = ? AND t.position > ?",
    );
    for _ in others {
        sql.push_str(
            " AND EXISTS (SELECT 1 FROM ieum_tags o WHERE o.tag = ? AND o.position = t.position)",
        );
    }
    if !condition.types.is_empty() {
        let marks = vec!["?"; condition.types.len()].join(", ");
        // Writing to a String cannot fail.
        let _ = write!(sql, " AND e.type IN ({marks})");
    }
    sql.push_str(" ORDER BY t.position LIMIT 1");
    let after = rusqlite::types::Value::from(signed(condition.after.0));
    let texts = others.iter().chain(&condition.types).cloned();
    let values = [first.clone().into(), after]
        .into_iter()
        .chain(texts.map(rusqlite::types::Value::from));
    let found: Option<i64> = tx
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()?;
    found.map_or(Ok(()), |position| {
        let found = Position(unsigned(position));
        let context = format!("append if no event has tags {:?}", condition.tags);
        Err(Error::new(ErrorKind::ConditionFailed { found }, context).into())
    })
}

fn write(tx: &Tx<'_>, append: &Append, actual: &[Version]) -> Result<Appended, Failure> {
    let total: usize = append.writes.iter().map(|write| write.events.len()).sum();
    let last: i64 = tx
        .prepare_cached("UPDATE ieum_log SET position = position + ?1 RETURNING position")?
        .query_row([signed(total as u64)], |row| row.get(0))?;
    let mut position = last - signed(total as u64);
    let mut versions = Vec::with_capacity(append.writes.len());
    let recorded_at = tx.now().as_micros();
    for (write, before) in append.writes.iter().zip(actual) {
        let mut version = signed(before.0);
        for event in &write.events {
            position += 1;
            version += 1;
            insert(tx, &write.stream, event, position, version, recorded_at)?;
        }
        tx.prepare_cached(
            "INSERT INTO ieum_streams (name, version) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET version = excluded.version",
        )?
        .execute((write.stream.as_str(), version))?;
        versions.push((write.stream.clone(), Version(unsigned(version))));
    }
    Ok(Appended {
        position: Position(unsigned(last)),
        versions,
        duplicate: false,
    })
}

fn insert(
    tx: &Tx<'_>,
    stream: &StreamName,
    event: &NewEvent,
    position: i64,
    version: i64,
    recorded_at: i64,
) -> Result<(), Failure> {
    let invalid = |error: serde_json::Error| {
        let context = format!("event {} cannot be written as JSON", event.id);
        Error::new(ErrorKind::Invalid, context).caused_by(error)
    };
    let metadata = serde_json::to_string(&event.metadata).map_err(invalid)?;
    let tags = (!event.tags.is_empty()).then(|| serde_json::to_string(&event.tags));
    let tags = tags.transpose().map_err(invalid)?;
    let stored = Stored {
        position,
        stream: stream.as_str(),
        version,
        id: event.id.as_bytes(),
        kind: &event.kind,
        data: event.data.get(),
        metadata: &metadata,
        tags: tags.as_deref(),
        recorded_at,
    };
    tx.prepare_cached(
        "INSERT INTO ieum_events (position, stream, version, id, type, data, metadata, tags, \
         recorded_at, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        stored.position,
        stored.stream,
        stored.version,
        stored.id,
        stored.kind,
        stored.data,
        stored.metadata,
        stored.tags,
        stored.recorded_at,
        stored.crc(),
    ))?;
    let mut tag_row =
        tx.prepare_cached("INSERT OR IGNORE INTO ieum_tags (tag, position) VALUES (?1, ?2)")?;
    for tag in &event.tags {
        tag_row.execute((tag, position))?;
    }
    Ok(())
}
