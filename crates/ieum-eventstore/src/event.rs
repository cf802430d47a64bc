//! What is written to the log, and what is read from it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ieum_base::trace::TraceContext;
use ieum_base::{Timestamp, Uuid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A place in the log: global, gap-free, in commit order. The first event has position 1; 0 is
/// "before the first".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

/// A place in one stream: the first event has version 1; 0 is "the stream has no event".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a stream: `category-id`. The category ends at the first `-`; a topic is a category.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StreamName(Arc<str>);

/// Why a text is not the name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a stream name: write `category-id`, at most 255 bytes, \
     without control characters or spaces"
)]
pub struct StreamNameError(String);

impl StreamName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Joins a category and an id. The category has no `-`.
    pub fn new(category: &str, id: impl fmt::Display) -> Result<Self, StreamNameError> {
        let name = format!("{category}-{id}");
        if category.contains('-') {
            Err(StreamNameError(name))
        } else {
            name.parse()
        }
    }

    /// What stands before the first `-`.
    pub fn category(&self) -> &str {
        self.0
            .split_once('-')
            .map_or(&*self.0, |(category, _)| category)
    }

    /// What stands behind the first `-`.
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parts = name
            .split_once('-')
            .is_some_and(|(c, id)| !c.is_empty() && !id.is_empty());
        let clean = !name.contains(|c: char| c.is_control() || c.is_whitespace());
        if parts && clean && name.len() <= Self::MAX_LEN {
            Ok(Self(name.into()))
        } else {
            Err(StreamNameError(name.chars().take(300).collect()))
        }
    }
}

impl<'de> Deserialize<'de> for StreamName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl Borrow<str> for StreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What travels beside an event's data. Unknown fields are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The W3C trace context under which the event was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The conversation that the event belongs to, such as an order's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The id of the event or command that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// The tenant that the event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Everything else, such as the attributes of a CloudEvent.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Metadata {
    /// The metadata of an event under this trace: `traceparent` and, if vendors added to it,
    /// `tracestate`.
    pub fn within(context: &TraceContext) -> Self {
        let state = context.state.as_deref();
        let state = state.map(|state| (TRACESTATE.to_owned(), state.into()));
        Self {
            traceparent: Some(context.to_traceparent()),
            other: state.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The trace that the event belongs to.
    pub fn trace_context(&self) -> Option<TraceContext> {
        let state = self.other.get(TRACESTATE).and_then(|state| state.as_str());
        TraceContext::parse_with_state(self.traceparent.as_deref()?, state)
    }
}

/// What vendors know about the trace.
const TRACESTATE: &str = "tracestate";

/// An event to be appended. Its id is the writer's: appending it again is harmless.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    /// Decides whether two events are the same one.
    pub id: Uuid,
    /// What happened, like `order.placed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The facts, as JSON.
    pub data: Box<RawValue>,
    /// What travels beside the facts.
    #[serde(default)]
    pub metadata: Metadata,
    /// Keys for conditions on tags. No personal data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl NewEvent {
    /// An event with `data` as its facts and no metadata.
    pub fn new<T: Serialize + ?Sized>(
        id: Uuid,
        kind: impl Into<String>,
        data: &T,
    ) -> Result<Self, serde_json::Error> {
        let data = serde_json::value::to_raw_value(data)?;
        Ok(Self {
            id,
            kind: kind.into(),
            data,
            metadata: Metadata::default(),
            tags: Vec::new(),
        })
    }

    /// The same event with `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// An event as it stands in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// The stream that it belongs to.
    pub stream: StreamName,
    /// Its place in the stream.
    pub version: Version,
    /// The writer's id.
    pub id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The facts, as JSON.
    pub data: Box<RawValue>,
    /// What travels beside the facts.
    #[serde(default)]
    pub metadata: Metadata,
    /// Keys for conditions on tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// When the log took it. Not an order: positions are.
    pub recorded_at: Timestamp,
}

/// The data of an event are not what its reader expected.
#[derive(Debug, thiserror::Error)]
#[error("event {position} (`{kind}`) cannot be read as {wanted}")]
pub struct EventDecodeError {
    position: Position,
    kind: String,
    wanted: &'static str,
    source: serde_json::Error,
}

impl Event {
    /// Reads the facts as `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, EventDecodeError> {
        serde_json::from_str(self.data.get()).map_err(|source| EventDecodeError {
            position: self.position,
            kind: self.kind.clone(),
            wanted: std::any::type_name::<T>(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_name_has_a_category_and_an_id() {
        let name = StreamName::new("order.events", "7f3a-11").expect("valid");
        assert_eq!((name.category(), name.id()), ("order.events", "7f3a-11"));
        for wrong in ["", "orders", "-1", "orders-", "orders-1 2", "orders-\n"] {
            assert!(wrong.parse::<StreamName>().is_err(), "{wrong:?}");
        }
        assert!(StreamName::new("a-b", 1).is_err());
        assert!(
            format!("c-{}", "x".repeat(254))
                .parse::<StreamName>()
                .is_err()
        );
    }

    #[test]
    fn metadata_keeps_what_it_does_not_know() {
        let json = r#"{"traceparent":"00-1","source":"/orders","flow":"orchestrated"}"#;
        let metadata: Metadata = serde_json::from_str(json).expect("valid");
        assert_eq!(metadata.other["flow"], "orchestrated");
        let again: Metadata =
            serde_json::from_str(&serde_json::to_string(&metadata).expect("json")).expect("valid");
        assert_eq!(again, metadata);
    }
}
