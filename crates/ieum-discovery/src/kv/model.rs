//! The words of keys and sessions.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ieum_base::Uuid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::CheckId;

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// A number of the client's own.
    pub flags: u64,
    /// The session that holds it.
    pub session: Option<Uuid>,
    /// How often it was taken.
    pub lock_index: u64,
    /// The index at which it came to be.
    pub created: u64,
    /// The index of its last change.
    pub modified: u64,
}

/// A client that may hold keys for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// The node that it belongs to; it ends when the node goes.
    pub node: String,
    /// How long its keys cannot be taken after it ended without giving them back.
    pub lock_delay: Duration,
    /// What becomes of its keys.
    #[serde(default)]
    pub behavior: Behavior,
    /// How long it lives without being renewed; for ever, if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Checks of the node.
    #[serde(default)]
    pub node_checks: Vec<CheckId>,
    /// Checks of instances: it ends when one becomes critical or goes.
    #[serde(default)]
    pub service_checks: Vec<CheckId>,
    /// The index at which it came to be.
    #[serde(default)]
    pub created: u64,
}

/// What becomes of the keys of a session that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behavior {
    /// They are released.
    #[default]
    Release,
    /// They are deleted.
    Delete,
}

/// One operation on keys. Several are decided as one: all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of an entry")]
pub enum Op {
    /// Sets a key, whoever holds it.
    Set {
        key: String,
        value: Bytes,
        flags: u64,
    },
    /// Sets a key if its last change has this index; 0: if it is not there.
    Cas {
        key: String,
        value: Bytes,
        flags: u64,
        index: u64,
    },
    /// Takes a key for a session and sets it.
    Lock {
        key: String,
        value: Bytes,
        flags: u64,
        session: Uuid,
    },
    /// Gives a key back and sets it.
    Unlock {
        key: String,
        value: Bytes,
        flags: u64,
        session: Uuid,
    },
    /// Reads a key that must be there.
    Get { key: String },
    /// Reads a key that may be there.
    GetOrEmpty { key: String },
    /// Reads all keys that begin so.
    GetTree { prefix: String },
    /// Fails unless the key's last change has this index.
    CheckIndex { key: String, index: u64 },
    /// Fails unless this session holds the key.
    CheckSession { key: String, session: Uuid },
    /// Fails if the key is there.
    CheckNotExists { key: String },
    /// Deletes a key.
    Delete { key: String },
    /// Deletes all keys that begin so.
    DeleteTree { prefix: String },
    /// Deletes a key if its last change has this index.
    DeleteCas { key: String, index: u64 },
}

/// What operations found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry; `None` for a key that may be absent, and is.
    pub entry: Option<Entry>,
    /// The key that was asked for.
    pub key: String,
    /// Whether its value was asked for.
    pub with_value: bool,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the operations.
    pub op: usize,
    /// Why.
    pub what: String,
    /// True if the request could never be met (there is no such session), false if somebody else
    /// was quicker.
    pub invalid: bool,
}

/// What became of operations that are decided as one.
pub type Outcome = Result<Vec<Found>, Vec<Refusal>>;

/// What happened; several make one event. Readers ignore fields that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A key was set.
    Set {
        /// The key.
        key: String,
        /// Its value.
        #[serde(with = "Base64")]
        value: Bytes,
        /// A number of the client's own.
        #[serde(default)]
        flags: u64,
        /// Who holds it now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Uuid>,
        /// How often it was taken.
        #[serde(default)]
        lock_index: u64,
    },
    /// A key was deleted.
    Deleted {
        /// The key.
        key: String,
    },
    /// All keys that begin so were deleted.
    TreeDeleted {
        /// The beginning.
        prefix: String,
    },
    /// A session began.
    SessionCreated(Session),
    /// A session ended; what becomes of its keys follows from it.
    SessionEnded {
        /// The session.
        session: Uuid,
    },
}

/// Bytes as text in an event.
struct Base64;

impl Base64 {
    fn serialize<S: Serializer>(value: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(value))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let value = STANDARD.decode(text.as_bytes());
        value.map(Bytes::from).map_err(serde::de::Error::custom)
    }
}
