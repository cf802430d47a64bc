//! An event as a row: its checksum, and back.
//!
//! The checksum covers every column that is stored, each with its length in front, so that a bit
//! that changed anywhere, or a row that was copied over another, is seen at the next read.

use ieum_base::{Timestamp, Uuid};
use ieum_eventstore::{Event, Position, StreamName, Version};
use rusqlite::Row;
use serde_json::value::RawValue;

use super::failure::Failure;

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "position, stream, version, id, type, data, metadata, tags, recorded_at, crc"
    };
}
pub(super) use columns;

/// The stored form of an event.
pub(super) struct Stored<'a> {
    pub(super) position: i64,
    pub(super) stream: &'a str,
    pub(super) version: i64,
    pub(super) id: &'a [u8],
    pub(super) kind: &'a str,
    pub(super) data: &'a str,
    pub(super) metadata: &'a str,
    pub(super) tags: Option<&'a str>,
    pub(super) recorded_at: i64,
}

impl Stored<'_> {
    /// CRC-32 (IEEE) over all columns.
    pub(super) fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for number in [self.position, self.version, self.recorded_at] {
            crc.update(&number.to_le_bytes());
        }
        let texts = [self.stream, self.kind, self.data, self.metadata];
        let blobs = texts.map(str::as_bytes).into_iter().chain([self.id]);
        for bytes in blobs.chain(self.tags.map(str::as_bytes)) {
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        }
        crc.finalize()
    }

    fn decode(&self) -> Result<Event, Failure> {
        let broken = |what: &str| Failure::corrupt(format!("event {}: its {what}", self.position));
        let tags = self.tags.map_or(Ok(Vec::new()), serde_json::from_str);
        Ok(Event {
            position: Position(unsigned(self.position)),
            stream: self
                .stream
                .parse::<StreamName>()
                .map_err(|_| broken("stream"))?,
            version: Version(unsigned(self.version)),
            id: Uuid::from_slice(self.id).map_err(|_| broken("id"))?,
            kind: self.kind.to_owned(),
            data: RawValue::from_string(self.data.to_owned()).map_err(|_| broken("data"))?,
            metadata: serde_json::from_str(self.metadata).map_err(|_| broken("metadata"))?,
            tags: tags.map_err(|_| broken("tags"))?,
            recorded_at: Timestamp::from_micros(self.recorded_at),
        })
    }
}

/// Reads the event in `row`, or says that it is damaged.
pub(super) fn read(row: &Row<'_>) -> Result<Event, Failure> {
    let position: i64 = row.get(0)?;
    read_parts(row, position).map_err(|failure| match failure {
        Failure::Sql(
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..),
        ) => Failure::corrupt(format!("event {position}: a column")),
        other => other,
    })
}

fn read_parts(row: &Row<'_>, position: i64) -> Result<Event, Failure> {
    let text = |at: usize| -> Result<&str, Failure> {
        row.get_ref(at)?
            .as_str()
            .map_err(|_| Failure::corrupt(format!("event {position}: column {at}")))
    };
    let blob = row.get_ref(3)?;
    let tags = match row.get_ref(7)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(text(7)?),
    };
    let stored = Stored {
        position,
        stream: text(1)?,
        version: row.get(2)?,
        id: blob
            .as_blob()
            .map_err(|_| Failure::corrupt(format!("event {position}: its id")))?,
        kind: text(4)?,
        data: text(5)?,
        metadata: text(6)?,
        tags,
        recorded_at: row.get(8)?,
    };
    let crc: i64 = row.get(9)?;
    if i64::from(stored.crc()) != crc {
        return Err(Failure::corrupt(format!("event {position}: its checksum")));
    }
    stored.decode()
}

/// Positions and versions are stored as SQLite's signed integers; they never reach the sign.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
