//! The log: append, read, head, checkpoints, fences.
//!
//! | call | body or query | answer |
//! |---|---|---|
//! | `GET /api/v1/log/streams` | [`ListStreams`] | 200 [`Streams`] |
//! | `POST /api/v1/log/streams/{stream}` | [`AppendToStream`] | 201 [`Appended`], 200 if a duplicate |
//! | `GET /api/v1/log/streams/{stream}` | [`ReadStream`] | 200 [`StreamPage`] |
//! | `POST /api/v1/log` | [`AppendToLog`] | 201 [`Appended`], 200 if a duplicate |
//! | `GET /api/v1/log` | [`ReadLog`] | 200 [`Page`] |
//! | `GET /api/v1/log/head` | [`WaitForHead`] | 200 [`Head`] |
//! | `GET /api/v1/log/checkpoints/{name}` | | 200 [`LoadedCheckpoint`] |
//! | `PUT /api/v1/log/checkpoints/{name}` | [`StoreCheckpoint`] | 204 |
//! | `POST /api/v1/log/fences/{name}` | | 201 [`Fence`] |

use ieum_base::{HumanDuration, Timestamp};
use ieum_eventstore::{
    Append, Checkpoint, Condition, Event, Expect, Filter, NewEvent, Position, StreamName, Version,
    Write,
};
use serde::{Deserialize, Serialize};

pub use ieum_eventstore::{Appended, Fence, Head, Page};

/// Events for the stream of the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppendToStream {
    /// What the writer believes about the stream; nothing by default.
    #[serde(default)]
    pub expect: Expect,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// The writer's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

impl AppendToStream {
    /// The append that it asks for.
    pub fn into_append(self, stream: StreamName) -> Append {
        Append {
            fence: self.fence,
            ..Append::to(stream, self.expect, self.events)
        }
    }
}

/// Events for several streams, all or none, under a condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppendToLog {
    /// The writes, one per stream.
    pub writes: Vec<StreamWrite>,
    /// A condition on tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// The writer's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

/// Events for one stream of several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamWrite {
    /// The stream.
    pub stream: StreamName,
    /// What the writer believes about it; nothing by default.
    #[serde(default)]
    pub expect: Expect,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
}

impl From<Append> for AppendToLog {
    fn from(append: Append) -> Self {
        let wire = |write: Write| StreamWrite {
            stream: write.stream,
            expect: write.expect,
            events: write.events,
        };
        Self {
            writes: append.writes.into_iter().map(wire).collect(),
            condition: append.condition,
            fence: append.fence,
        }
    }
}

impl From<AppendToLog> for Append {
    fn from(wire: AppendToLog) -> Self {
        let write = |write: StreamWrite| Write {
            stream: write.stream,
            expect: write.expect,
            events: write.events,
        };
        Self {
            writes: wire.writes.into_iter().map(write).collect(),
            condition: wire.condition,
            fence: wire.fence,
        }
    }
}

/// The query of a list of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListStreams {
    /// Only streams whose names begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The most in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only streams whose last event lies before this position: the `next` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position>,
}

/// The streams that were written to last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// The one with the latest event first.
    pub streams: Vec<StreamSummary>,
    /// Where the list goes on; absent at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
    /// False if the list is of the log's tail only: streams whose last event lies before it are
    /// missing, and are read by their names.
    #[serde(default)]
    pub whole: bool,
}

/// One line about a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSummary {
    /// Its name.
    pub stream: StreamName,
    /// The version of its last event.
    pub version: Version,
    /// The position of that event.
    pub position: Position,
    /// When it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

/// The query of a read of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadStream {
    /// Only versions above this one.
    #[serde(default)]
    pub after: Version,
    /// The most events in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A piece of one stream, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPage {
    /// The events; fewer than `limit` means the end of the stream was reached.
    pub events: Vec<Event>,
}

/// The query of a read of the whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadLog {
    /// Only positions above this one.
    #[serde(default)]
    pub after: Position,
    /// Categories, joined by commas; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Types, joined by commas; absent means all.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The most events in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// How long to wait for the log to grow beyond `after`; not at all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<HumanDuration>,
}

impl ReadLog {
    /// The filter that it asks for.
    pub fn filter(&self) -> Filter {
        Filter {
            categories: split(self.category.as_deref()),
            types: split(self.kind.as_deref()),
        }
    }

    /// Asks for `filter`; `None` if a name in it has a comma, which a query cannot carry.
    pub fn with_filter(mut self, filter: &Filter) -> Option<Self> {
        self.category = join(&filter.categories)?;
        self.kind = join(&filter.types)?;
        Some(self)
    }
}

fn split(list: Option<&str>) -> Vec<String> {
    let names = list.unwrap_or_default().split(',').map(str::trim);
    names.filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

/// `Some(None)` for an empty list.
fn join(names: &[String]) -> Option<Option<String>> {
    let legal = |n: &String| !n.is_empty() && !n.contains(',') && n.trim() == n;
    if !names.iter().all(legal) {
        return None;
    }
    Some((!names.is_empty()).then(|| names.join(",")))
}

/// The query of a wait for the log's end to move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitForHead {
    /// Wait for a head above this position.
    #[serde(default)]
    pub after: Position,
    /// How long; not at all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<HumanDuration>,
}

/// A stored checkpoint, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedCheckpoint {
    /// The checkpoint; `null` if none was stored.
    pub checkpoint: Option<Checkpoint>,
}

/// A move of a checkpoint by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreCheckpoint {
    /// What the writer believes is stored; `null` or absent: nothing.
    #[serde(default)]
    pub expected: Option<Checkpoint>,
    /// Where it goes.
    pub to: Checkpoint,
    /// The writer's epoch, checked in the same transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_query() {
        let filter = Filter {
            categories: vec!["order.events".into(), "user.events".into()],
            types: vec!["order.placed".into()],
        };
        let query = ReadLog::default().with_filter(&filter).expect("no comma");
        assert_eq!(query.category.as_deref(), Some("order.events,user.events"));
        assert_eq!(query.filter(), filter);
        let all = ReadLog::default()
            .with_filter(&Filter::default())
            .expect("empty");
        assert_eq!(all, ReadLog::default());
        assert_eq!(
            ReadLog::default().with_filter(&Filter::category("a,b")),
            None
        );
    }

    #[test]
    fn an_append_survives_the_json() {
        let json = r#"{"writes":[{"stream":"order-1","expect":{"version":3},"events":[
            {"id":"0192f0c1-0000-7000-8000-000000000001","type":"OrderConfirmed","data":{"a": 1}}]}],
            "fence":{"name":"orders","epoch":7}}"#;
        let wire: AppendToLog = serde_json::from_str(json).expect("valid");
        let append = Append::from(wire);
        assert_eq!(append.writes[0].expect, Expect::Version(Version(3)));
        let again = serde_json::to_string(&AppendToLog::from(append)).expect("json");
        assert!(again.contains(r#""data":{"a": 1}"#), "{again}");
        let unknown = r#"{"writes":[],"fense":null}"#;
        assert!(serde_json::from_str::<AppendToLog>(unknown).is_err());
    }
}
