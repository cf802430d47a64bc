//! Where a group stands: one entry of the bucket, changed by compare-and-set only.
//!
//! Everything that decides lies in this one entry, so that one write settles it: the member and its
//! term, the checkpoint, the keys that wait, and what must become a dead letter. A member that was
//! superseded has the wrong revision, and none of its writes counts (H13).

use std::collections::BTreeMap;
use std::time::Duration;

use ieum_base::Uuid;
use ieum_messaging::DeadLetterReason;
use serde::{Deserialize, Serialize};

/// What the bucket holds of a group. Unknown fields of later versions are refused: they would be lost
/// with the next write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    /// The version of this format: 1.
    pub(crate) version: u32,
    /// The topic, for people.
    pub(crate) topic: String,
    /// The group, for people.
    pub(crate) group: String,
    /// Its worker.
    pub(crate) member: String,
    /// The worker's term.
    pub(crate) epoch: u64,
    /// Drawn for the term: epochs begin anew when an operator deletes the entry.
    #[serde(default)]
    pub(crate) draw: u64,
    /// How long the entry must stand still before another member takes over, in milliseconds.
    pub(crate) lease_ms: u64,
    /// Everything up to here is done with.
    pub(crate) checkpoint: u64,
    /// When the stream took the message at the checkpoint, in nanoseconds since 1970 by the server's
    /// clock: the same place of another stream has another time (H35).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<i64>,
    /// The keys that wait, each behind the message at this position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parked: BTreeMap<Key, u64>,
    /// What was given up by the write before and may not be kept as a dead letter yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) aside: Vec<Aside>,
    /// How many dead letters there are, at most.
    #[serde(default)]
    pub(crate) dead: u64,
}

/// The version of the format.
const VERSION: u32 = 1;

/// A message that becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Aside {
    /// Its place in the topic.
    pub(crate) position: u64,
    /// Why.
    pub(crate) reason: DeadLetterReason,
}

/// A key that waits: the text, or its hash if it is long, so that an entry stays small.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(key: &str) -> Self {
        if key.len() <= LONGEST_KEY {
            return Self(format!("={key}"));
        }
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes());
        Self(format!("#{hash}"))
    }
}

const LONGEST_KEY: usize = 64;
/// The longest reason that is kept, in bytes: entries stay below what a server takes.
const LONGEST_REASON: usize = 500;

impl Record {
    /// A group that nobody has joined yet.
    pub(crate) fn new(topic: &str, group: &str) -> Self {
        Self {
            version: VERSION,
            topic: topic.to_owned(),
            group: group.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// Moves the checkpoint, never back, and gives up what it passes.
    pub(crate) fn advance(&mut self, to: u64, stamp: Option<i64>, passed: &[Aside]) {
        for aside in passed {
            self.set_aside(aside);
        }
        if to > self.checkpoint {
            self.checkpoint = to;
            self.stamp = stamp;
        }
    }

    /// Repeating it changes nothing: what lies at or before the checkpoint was settled with it.
    fn set_aside(&mut self, aside: &Aside) {
        let known = self.aside.iter().any(|a| a.position == aside.position);
        if aside.position <= self.checkpoint || known {
            return;
        }
        let mut aside = aside.clone();
        if let DeadLetterReason::GaveUp(why) = &mut aside.reason {
            why.truncate(why.floor_char_boundary(LONGEST_REASON));
        }
        self.aside.push(aside);
        self.dead += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gave_up(position: u64) -> Aside {
        Aside {
            position,
            reason: DeadLetterReason::GaveUp("n".repeat(2_000)),
        }
    }

    #[test]
    fn advancing_again_changes_nothing() {
        let mut record = Record::default();
        record.advance(5, Some(50), &[gave_up(3), gave_up(3)]);
        let first = record.clone();
        record.advance(5, Some(50), &[gave_up(3)]);
        record.advance(4, Some(40), &[]);
        assert_eq!(record, first);
        assert_eq!((record.checkpoint, record.dead), (5, 1));
        let DeadLetterReason::GaveUp(why) = &record.aside[0].reason else {
            unreachable!("it was given up");
        };
        assert_eq!(why.len(), 500);
    }

    #[test]
    fn long_keys_are_kept_short_and_apart() {
        let (long, longer) = ("k".repeat(65), "k".repeat(1_000));
        let keys = [
            Key::new("k"),
            Key::new(&long),
            Key::new(&longer),
            Key::new("#k"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(
                key.0.len() <= 65 && !keys[at + 1..].contains(key),
                "{key:?}"
            );
        }
    }

    #[test]
    fn what_is_stored_is_read_again_and_later_versions_are_refused() {
        let mut record = Record {
            version: VERSION,
            member: "a".to_owned(),
            ..Record::default()
        };
        record.parked.insert(Key::new("k"), 3);
        record.advance(5, Some(50), &[gave_up(3)]);
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("read"), record);
        let old = r#"{"version":1,"topic":"t","group":"g","member":"m","epoch":2,"leaseMs":10,
            "checkpoint":7}"#;
        assert_eq!(
            serde_json::from_str::<Record>(old)
                .expect("read")
                .checkpoint,
            7
        );
        let later = old.replace("\"version\":1", "\"version\":2,\"more\":1");
        assert!(serde_json::from_str::<Record>(&later).is_err());
    }
}
