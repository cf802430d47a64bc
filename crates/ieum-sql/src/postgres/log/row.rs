//! An event as a row: its checksum, and back.
//!
//! The checksum covers every column that is stored. The client makes it of what it knows; position
//! and version, which the server gives, are added there by a function that both sides know: so a bit
//! that changed anywhere, or a row that was copied to another place, is seen at the next read.

use ieum_base::{Timestamp, Uuid};
use ieum_eventstore::{Error, ErrorKind, Event, Position, Result, StreamName, Version};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// The columns that [`event_of`] takes, in its order, of an `ieum_events v`.
pub(crate) const COLUMNS: &str = "v.position, v.stream, v.version, v.id, v.type, v.data, \
                                  v.metadata, v.tags, v.recorded_at, v.crc";

/// What the client knows of an event that is to be stored.
pub(super) struct Content<'a> {
    pub(super) stream: &'a str,
    pub(super) id: Uuid,
    pub(super) kind: &'a str,
    pub(super) data: &'a str,
    pub(super) metadata: &'a str,
    pub(super) tags: Option<&'a str>,
    pub(super) recorded_at: i64,
}

impl Content<'_> {
    /// CRC-32 (IEEE) over all of it, each text with its length in front.
    pub(super) fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.recorded_at.to_le_bytes());
        crc.update(self.id.as_bytes());
        let texts = [self.stream, self.kind, self.data, self.metadata];
        for text in texts.into_iter().chain(self.tags) {
            crc.update(&(text.len() as u64).to_le_bytes());
            crc.update(text.as_bytes());
        }
        crc.finalize()
    }
}

/// Reads the event whose first column is column `at` of `row`, or says that it is damaged.
pub(crate) fn event_of(row: &Row, at: usize) -> Result<Event> {
    let position: i64 = column(row, at, 0, "position")?;
    let broken = |what: &str| corrupt(position, what);
    let version: i64 = column(row, at + 2, position, "version")?;
    let content = Content {
        stream: column(row, at + 1, position, "stream")?,
        id: column(row, at + 3, position, "id")?,
        kind: column(row, at + 4, position, "type")?,
        data: column(row, at + 5, position, "data")?,
        metadata: column(row, at + 6, position, "metadata")?,
        tags: column(row, at + 7, position, "tags")?,
        recorded_at: column(row, at + 8, position, "time")?,
    };
    let crc: i64 = column(row, at + 9, position, "checksum")?;
    if i64::from(content.crc() ^ place_crc(position, version)) != crc {
        return Err(broken("checksum"));
    }
    let tags = content.tags.map_or(Ok(Vec::new()), serde_json::from_str);
    let data = RawValue::from_string(content.data.to_owned());
    Ok(Event {
        position: Position(unsigned(position)),
        stream: content
            .stream
            .parse::<StreamName>()
            .map_err(|_| broken("stream"))?,
        version: Version(unsigned(version)),
        id: content.id,
        kind: content.kind.to_owned(),
        data: data.map_err(|_| broken("data"))?,
        metadata: serde_json::from_str(content.metadata).map_err(|_| broken("metadata"))?,
        tags: tags.map_err(|_| broken("tags"))?,
        recorded_at: Timestamp::from_micros(content.recorded_at),
    })
}

/// What position and version add to a checksum: `ieum_place_crc` of the schema.
fn place_crc(position: i64, version: i64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both halves are folded into 32 bits"
    )]
    let fold = |number: i64| (number ^ (number >> 32)) as u32;
    fold(position) ^ fold(version).wrapping_mul(1_640_531_527)
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize, position: i64, what: &str) -> Result<T> {
    row.try_get(at)
        .map_err(|error| corrupt(position, what).caused_by(error))
}

fn corrupt(position: i64, what: &str) -> Error {
    let context = format!("event {position}: its {what}");
    Error::new(ErrorKind::Corrupt, context)
}

/// Positions and versions are stored as signed integers; they never reach the sign.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
