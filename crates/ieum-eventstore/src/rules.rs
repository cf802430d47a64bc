//! What every engine decides in the same way: the limits of an append, expectations, and when a
//! batch is a repetition.
//!
//! It is shared so that engines differ in how they store and never in what they promise.

use std::collections::HashSet;

use ieum_base::Uuid;

use crate::{
    Append, Appended, Checkpoint, Condition, Error, ErrorKind, Event, Expect, Head, Page, Position,
    Result, Version,
};

impl Append {
    /// The most bytes of an event's type.
    pub const MAX_TYPE_BYTES: usize = 255;
    /// The most tags of one event, and of one condition.
    pub const MAX_TAGS: usize = 64;
    /// The most bytes of one tag.
    pub const MAX_TAG_BYTES: usize = 255;

    /// Checks the documented limits, without looking at the log. `Invalid` says which one is broken.
    pub fn check(&self) -> Result<()> {
        let total: usize = self.writes.iter().map(|write| write.events.len()).sum();
        if total > Self::MAX_EVENTS {
            return Err(invalid(format!(
                "an append has at most {} events, this one has {total}",
                Self::MAX_EVENTS
            )));
        }
        if self.writes.is_empty() || self.writes.iter().any(|write| write.events.is_empty()) {
            return Err(invalid("an append needs at least one event per stream"));
        }
        self.check_repetitions(total)?;
        for event in self.writes.iter().flat_map(|write| &write.events) {
            check_event(event)?;
        }
        self.condition.as_ref().map_or(Ok(()), check_condition)
    }

    /// True if nothing in the append can be named twice: the common case, checked without a set.
    fn check_repetitions(&self, total: usize) -> Result<()> {
        if total > 1 {
            let mut ids = HashSet::with_capacity(total);
            let events = self.writes.iter().flat_map(|write| &write.events);
            if let Some(twice) = events.map(|event| event.id).find(|id| !ids.insert(*id)) {
                return Err(invalid(format!("event {twice} is in the append twice")));
            }
        }
        if self.writes.len() > 1 {
            let mut streams = HashSet::with_capacity(self.writes.len());
            let mut names = self.writes.iter().map(|write| write.stream.as_str());
            if let Some(twice) = names.find(|name| !streams.insert(*name)) {
                return Err(invalid(format!("stream `{twice}` is in the append twice")));
            }
        }
        Ok(())
    }

    /// Settles whether this append is a repetition. `find` looks an event up by its id.
    ///
    /// `Some` answers as the first time; `None` means that all events are new; an overlap that is
    /// not the same batch is a `PartialDuplicate`.
    pub fn settle<E: From<Error>>(
        &self,
        mut find: impl FnMut(Uuid) -> Result<Option<Recorded>, E>,
    ) -> Result<Option<Appended>, E> {
        let (mut found, mut new) = (0_usize, 0_usize);
        let mut position = Position::START;
        let mut versions = Vec::with_capacity(self.writes.len());
        for write in &self.writes {
            let mut last = Version::default();
            for event in &write.events {
                let Some(recorded) = find(event.id)? else {
                    new += 1;
                    continue;
                };
                if recorded.stream != write.stream.as_str() || recorded.kind != event.kind {
                    return Err(overlap(event.id).into());
                }
                found += 1;
                position = position.max(recorded.position);
                last = last.max(recorded.version);
            }
            versions.push((write.stream.clone(), last));
        }
        match (found, new) {
            (0, _) => Ok(None),
            (_, 0) => Ok(Some(Appended {
                position,
                versions,
                duplicate: true,
            })),
            _ => {
                let context = format!("{found} of {} events", found + new);
                Err(Error::new(ErrorKind::PartialDuplicate, context).into())
            }
        }
    }
}

/// Where an event stands, for [`Append::settle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The name of its stream.
    pub stream: String,
    /// Its type.
    pub kind: String,
    /// Its place in the log.
    pub position: Position,
    /// Its place in the stream.
    pub version: Version,
}

impl Expect {
    /// True if a stream whose last event has version `actual` is as expected.
    pub fn admits(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == Version::default(),
            Self::Exists => actual > Version::default(),
            Self::Version(expected) => actual == expected,
        }
    }
}

impl Condition {
    /// True if `event` breaks the condition.
    pub fn is_broken_by(&self, event: &Event) -> bool {
        event.position > self.after
            && (self.types.is_empty() || self.types.contains(&event.kind))
            && self.tags.iter().all(|tag| event.tags.contains(tag))
    }
}

impl Head {
    /// The checkpoint of a reader that has dealt with everything up to `position`.
    pub const fn checkpoint(self, position: Position) -> Checkpoint {
        Checkpoint {
            incarnation: self.incarnation,
            position,
        }
    }

    /// `ForeignCheckpoint` if `checkpoint` is of another incarnation or beyond the head (H35).
    pub fn accept(self, checkpoint: Checkpoint) -> Result<()> {
        if checkpoint.incarnation != self.incarnation {
            let context = format!("the log is of incarnation {}", self.incarnation);
            return Err(Error::new(ErrorKind::ForeignCheckpoint, context));
        }
        self.accept_position(checkpoint.position)
    }

    /// `ForeignCheckpoint` if `position` is beyond the head: what was there is not there any more.
    pub fn accept_position(self, position: Position) -> Result<()> {
        if position > self.position {
            let context = format!(
                "position {position} of a log that ends at {}",
                self.position
            );
            return Err(Error::new(ErrorKind::ForeignCheckpoint, context));
        }
        Ok(())
    }
}

impl Page {
    /// The most events that one read answers, whatever its limit says.
    pub const MAX_EVENTS: usize = 10_000;
}

fn check_event(event: &crate::NewEvent) -> Result<()> {
    if event.kind.is_empty() || event.kind.len() > Append::MAX_TYPE_BYTES {
        return Err(invalid(format!(
            "the type of event {} must have 1 to {} bytes",
            event.id,
            Append::MAX_TYPE_BYTES
        )));
    }
    check_tags(&event.tags)?;
    let bytes = event.data.get().len() + metadata_bytes(event)?;
    if bytes > Append::MAX_EVENT_BYTES {
        return Err(invalid(format!(
            "event {} has {bytes} bytes of data and metadata, the limit is {}",
            event.id,
            Append::MAX_EVENT_BYTES
        )));
    }
    Ok(())
}

/// The size of the metadata as JSON, counted without keeping the text.
fn metadata_bytes(event: &crate::NewEvent) -> Result<usize> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, &event.metadata).map_err(|error| {
        invalid(format!("the metadata of event {} are not JSON", event.id)).caused_by(error)
    })?;
    Ok(counter.0)
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_condition(condition: &Condition) -> Result<()> {
    if condition.tags.is_empty() {
        return Err(invalid("a condition needs at least one tag"));
    }
    check_tags(&condition.tags)
}

fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > Append::MAX_TAGS {
        return Err(invalid(format!("at most {} tags", Append::MAX_TAGS)));
    }
    let fits = |tag: &String| !tag.is_empty() && tag.len() <= Append::MAX_TAG_BYTES;
    tags.iter().all(fits).then_some(()).ok_or_else(|| {
        invalid(format!(
            "a tag must have 1 to {} bytes",
            Append::MAX_TAG_BYTES
        ))
    })
}

fn invalid(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, context)
}

fn overlap(id: Uuid) -> Error {
    Error::new(
        ErrorKind::PartialDuplicate,
        format!("event {id} stands in another stream or has another type"),
    )
}
