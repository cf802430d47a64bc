//! The envelope: CloudEvents 1.0 (CNCF), in its JSON format.

use std::collections::BTreeMap;

use ieum_base::{Timestamp, Uuid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A CloudEvent. It is identified by `source` and `id` together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The version of the specification: `1.0`.
    pub specversion: SpecVersion,
    /// Unique within the source.
    pub id: String,
    /// Who says so: a URI reference, like `/orders`.
    pub source: String,
    /// What happened, like `order.placed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about, like an order's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Messages of one key are delivered in order (extension "Partitioning").
    #[serde(
        default,
        rename = "partitionkey",
        skip_serializing_if = "Option::is_none"
    )]
    pub key: Option<String>,
    /// The W3C trace context (extension "Distributed Tracing").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The media type of `data`; JSON if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The facts, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Extension attributes, like `flow`.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// The one version of CloudEvents that is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// CloudEvents 1.0.
    #[default]
    #[serde(rename = "1.0")]
    V1,
}

/// Why a message is not a valid CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A required attribute is missing or empty.
    #[error("the attribute `{0}` of a CloudEvent must not be empty")]
    Empty(&'static str),
    /// An extension's name has characters other than a–z and 0–9.
    #[error("`{0}` is not a CloudEvents attribute: use only a–z and 0–9")]
    BadAttributeName(String),
    /// The message is larger than the limit.
    #[error("the message has {actual} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size in bytes.
        actual: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The data are not what the reader expected.
    #[error("the data of `{kind}` are not as expected: {why}")]
    Data {
        /// The message's type.
        kind: String,
        /// What the JSON reader said.
        why: String,
    },
}

impl Message {
    /// A message with `data` as its facts. `time` and a unique `id` are the caller's.
    pub fn new<T: Serialize + ?Sized>(
        source: impl Into<String>,
        id: impl Into<String>,
        kind: impl Into<String>,
        data: &T,
    ) -> Result<Self, MessageError> {
        let kind = kind.into();
        let data = serde_json::value::to_raw_value(data).map_err(|error| MessageError::Data {
            kind: kind.clone(),
            why: error.to_string(),
        })?;
        Ok(Self {
            specversion: SpecVersion::V1,
            id: id.into(),
            source: source.into(),
            kind,
            subject: None,
            time: None,
            key: None,
            traceparent: None,
            datacontenttype: None,
            data: Some(data),
            extensions: BTreeMap::new(),
        })
    }

    /// The id under which the log keeps the message: UUID version 5 of source and id, so that a
    /// message published twice is one event.
    pub fn event_id(&self) -> Uuid {
        let name = format!("{}\u{0}{}", self.source, self.id);
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// The key that orders it: the partition key, else the subject, else the id (no order).
    pub fn ordering_key(&self) -> &str {
        self.key
            .as_deref()
            .or(self.subject.as_deref())
            .unwrap_or(&self.id)
    }

    /// Reads the facts as `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, MessageError> {
        let json = self.data.as_ref().map_or("null", |data| data.get());
        serde_json::from_str(json).map_err(|error| MessageError::Data {
            kind: self.kind.clone(),
            why: error.to_string(),
        })
    }

    /// An extension attribute that is text.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions
            .get(name)
            .and_then(serde_json::Value::as_str)
    }
}
