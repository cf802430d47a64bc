//! Several appends as the arrays that `ieum_append` takes, and its answer for each of them.

use std::collections::HashMap;

use ieum_base::{Timestamp, Uuid};
use ieum_eventstore::{
    Append, Appended, Error, ErrorKind, Expect, NewEvent, Position, Recorded, Result, Version,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::row::{Content, signed, unsigned};

/// The call, with `$1` to `$23` as [`Batch::parameters`] has them.
pub(super) const CALL: &str = "SELECT * FROM ieum_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
                               $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)";

/// The most bytes of one append: what the server takes in one message is not much more.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// Appends as arrays.
#[derive(Default)]
pub(super) struct Batch<'a> {
    appends: Vec<&'a Append>,
    streams: Vec<&'a str>,
    stream_numbers: HashMap<&'a str, i32>,
    a_writes: Vec<i32>,
    w_stream: Vec<i32>,
    w_expect: Vec<i64>,
    w_events: Vec<i32>,
    e_stream: Vec<&'a str>,
    e_id: Vec<Uuid>,
    e_type: Vec<&'a str>,
    e_data: Vec<&'a str>,
    e_metadata: Vec<String>,
    e_tags: Vec<Option<String>>,
    e_crc: Vec<i64>,
    recorded_at: i64,
    t_event: Vec<i32>,
    t_tag: Vec<&'a str>,
    f_append: Vec<i32>,
    f_name: Vec<&'a str>,
    f_epoch: Vec<i64>,
    c_append: Vec<i32>,
    c_tags: Vec<String>,
    c_types: Vec<String>,
    c_after: Vec<i64>,
    tell: bool,
}

/// Says what this engine cannot store, beyond the limits of [`Append::check`]: text in PostgreSQL
/// has no NUL. One such append must not spoil the batch that it would travel in.
pub(super) fn check(append: &Append) -> Result<()> {
    append.check()?;
    let events = append.writes.iter().flat_map(|write| &write.events);
    let condition = append.condition.iter();
    let mut texts = events
        .clone()
        .flat_map(|event| event.tags.iter().chain([&event.kind]))
        .chain(condition.flat_map(|condition| condition.tags.iter().chain(&condition.types)))
        .chain(append.fence.iter().map(|fence| &fence.name));
    if let Some(text) = texts.find(|text| text.contains('\0')) {
        let context = format!("`{}` has a character NUL", text.escape_debug());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    let bytes: usize = events.map(|event| event.data.get().len()).sum();
    if bytes > MAX_BYTES {
        let context = format!("an append of {bytes} bytes, the limit is {MAX_BYTES}");
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(())
}

impl<'a> Batch<'a> {
    /// The batch of `appends`, recorded at `now`. With `tell`, the commit itself notifies.
    pub(super) fn of(
        appends: impl IntoIterator<Item = &'a Append>,
        now: Timestamp,
        tell: bool,
    ) -> Result<Self> {
        let mut batch = Self {
            recorded_at: now.as_micros(),
            tell,
            ..Self::default()
        };
        for append in appends {
            batch.add(append)?;
        }
        Ok(batch)
    }

    /// The parameters of [`CALL`].
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 23] {
        [
            &self.streams,
            &self.a_writes,
            &self.w_stream,
            &self.w_expect,
            &self.w_events,
            &self.e_stream,
            &self.e_id,
            &self.e_type,
            &self.e_data,
            &self.e_metadata,
            &self.e_tags,
            &self.e_crc,
            &self.recorded_at,
            &self.t_event,
            &self.t_tag,
            &self.f_append,
            &self.f_name,
            &self.f_epoch,
            &self.c_append,
            &self.c_tags,
            &self.c_types,
            &self.c_after,
            &self.tell,
        ]
    }

    /// The answer to each append, from the row that [`CALL`] answered.
    pub(super) fn answers(&self, row: &Row) -> Result<Vec<Result<Appended>>> {
        Answer::read(row)?.for_each(&self.appends)
    }

    fn add(&mut self, append: &'a Append) -> Result<()> {
        self.appends.push(append);
        let number = index(self.appends.len());
        self.a_writes.push(index(append.writes.len()));
        for write in &append.writes {
            let stream = write.stream.as_str();
            let next = index(self.streams.len() + 1);
            let place = *self.stream_numbers.entry(stream).or_insert(next);
            if place == next {
                self.streams.push(stream);
            }
            self.w_stream.push(place);
            self.w_expect.push(expected(write.expect));
            self.w_events.push(index(write.events.len()));
            for event in &write.events {
                self.add_event(stream, event)?;
            }
        }
        if let Some(fence) = &append.fence {
            self.f_append.push(number);
            self.f_name.push(&fence.name);
            self.f_epoch.push(signed(fence.epoch));
        }
        if let Some(condition) = &append.condition {
            self.c_append.push(number);
            self.c_tags.push(json(&condition.tags)?);
            self.c_types.push(json(&condition.types)?);
            self.c_after.push(signed(condition.after.0));
        }
        Ok(())
    }

    fn add_event(&mut self, stream: &'a str, event: &'a NewEvent) -> Result<()> {
        let metadata = json(&event.metadata)?;
        let tags = (!event.tags.is_empty()).then(|| json(&event.tags));
        let tags = tags.transpose()?;
        let content = Content {
            stream,
            id: event.id,
            kind: &event.kind,
            data: event.data.get(),
            metadata: &metadata,
            tags: tags.as_deref(),
            recorded_at: self.recorded_at,
        };
        self.e_crc.push(i64::from(content.crc()));
        self.e_stream.push(stream);
        self.e_id.push(event.id);
        self.e_type.push(&event.kind);
        self.e_data.push(event.data.get());
        self.e_metadata.push(metadata);
        self.e_tags.push(tags);
        let number = index(self.e_id.len());
        for tag in &event.tags {
            self.t_event.push(number);
            self.t_tag.push(tag);
        }
        Ok(())
    }
}

/// What `ieum_append` answered.
struct Answer {
    outcomes: Vec<i32>,
    details: Vec<i64>,
    which: Vec<i32>,
    versions: Vec<i64>,
    known: HashMap<Uuid, Recorded>,
}

impl Answer {
    fn read(row: &Row) -> Result<Self> {
        let read = || -> Result<Self, tokio_postgres::Error> {
            let ids: Option<Vec<Uuid>> = row.try_get("known_id")?;
            let known = if ids.is_some() {
                known(row)?
            } else {
                HashMap::new()
            };
            Ok(Self {
                outcomes: row.try_get("outcomes")?,
                details: row.try_get("details")?,
                which: row.try_get("which")?,
                versions: row.try_get("versions")?,
                known,
            })
        };
        read().map_err(|error| unfit("the answer to an append").caused_by(error))
    }

    fn for_each(&self, appends: &[&Append]) -> Result<Vec<Result<Appended>>> {
        let mut versions = self.versions.iter();
        let mut answers = Vec::with_capacity(appends.len());
        for (place, append) in appends.iter().enumerate() {
            let versions: Vec<i64> = versions
                .by_ref()
                .take(append.writes.len())
                .copied()
                .collect();
            let parts = (
                self.outcomes.get(place),
                self.details.get(place),
                self.which.get(place),
            );
            let (Some(&outcome), Some(&detail), Some(&which)) = parts else {
                return Err(unfit("the answer to an append is too short"));
            };
            answers.push(match outcome {
                0 => Ok(appended(append, detail, &versions)),
                1 => self.repeated(append),
                refused => Err(refusal(append, refused, detail, which)),
            });
        }
        Ok(answers)
    }

    fn repeated(&self, append: &Append) -> Result<Appended> {
        let found = append.settle(|id| Ok::<_, Error>(self.known.get(&id).cloned()))?;
        found.ok_or_else(|| unfit("an append is known and is not"))
    }
}

fn known(row: &Row) -> Result<HashMap<Uuid, Recorded>, tokio_postgres::Error> {
    let ids: Vec<Uuid> = row.try_get("known_id")?;
    let streams: Vec<String> = row.try_get("known_stream")?;
    let types: Vec<String> = row.try_get("known_type")?;
    let positions: Vec<i64> = row.try_get("known_position")?;
    let versions: Vec<i64> = row.try_get("known_version")?;
    let places = streams.into_iter().zip(types).zip(positions).zip(versions);
    let recorded = places.map(|(((stream, kind), position), version)| Recorded {
        stream,
        kind,
        position: Position(unsigned(position)),
        version: Version(unsigned(version)),
    });
    Ok(ids.into_iter().zip(recorded).collect())
}

fn appended(append: &Append, last: i64, versions: &[i64]) -> Appended {
    let streams = append.writes.iter().map(|write| write.stream.clone());
    let versions = versions.iter().map(|version| Version(unsigned(*version)));
    Appended {
        position: Position(unsigned(last)),
        versions: streams.zip(versions).collect(),
        duplicate: false,
    }
}

fn refusal(append: &Append, outcome: i32, detail: i64, which: i32) -> Error {
    let place = usize::try_from(which - 1).unwrap_or(usize::MAX);
    match (
        outcome,
        &append.fence,
        &append.condition,
        append.writes.get(place),
    ) {
        (2, Some(fence), ..) => {
            let actual = unsigned(detail);
            let context = format!("writing as `{}` in epoch {}", fence.name, fence.epoch);
            Error::new(ErrorKind::Fenced { actual }, context)
        }
        (3, _, _, Some(write)) => {
            let (stream, actual) = (write.stream.clone(), Version(unsigned(detail)));
            let context = format!("expected {:?}", write.expect);
            Error::new(ErrorKind::Conflict { stream, actual }, context)
        }
        (4, _, Some(condition), _) => {
            let found = Position(unsigned(detail));
            let context = format!("append if no event has tags {:?}", condition.tags);
            Error::new(ErrorKind::ConditionFailed { found }, context)
        }
        (5, _, Some(condition), _) => {
            let context = format!(
                "position {} of a log that ends at {detail}",
                condition.after
            );
            Error::new(ErrorKind::ForeignCheckpoint, context)
        }
        _ => unfit("an append has an outcome that does not fit it"),
    }
}

fn expected(expect: Expect) -> i64 {
    match expect {
        Expect::Any => -1,
        Expect::Exists => -2,
        Expect::NoStream => 0,
        Expect::Version(version) => signed(version.0),
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Invalid, "an event cannot be written as JSON").caused_by(error)
    })
}

/// Batches are far smaller than this can count.
fn index(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unfit(context: &str) -> Error {
    Error::new(ErrorKind::Internal, context)
}
