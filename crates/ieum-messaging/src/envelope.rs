//! The envelope: CloudEvents 1.0 (CNCF), in its JSON format.

use std::collections::BTreeMap;

use ieum_base::trace::{self, TraceContext};
use ieum_base::{Timestamp, Uuid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    pub extensions: BTreeMap<String, Value>,
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
#[non_exhaustive]
pub enum MessageError {
    /// A required attribute is missing or empty.
    #[error("the attribute `{0}` of a CloudEvent must not be empty")]
    Empty(&'static str),
    /// An extension's name has characters other than a–z and 0–9, or belongs to the specification.
    #[error(
        "`{0}` is not an extension of a CloudEvent: use 1 to 64 of a–z and 0–9, not a name of the specification"
    )]
    BadAttributeName(String),
    /// An attribute's value is no text, whole number or boolean, or has control characters.
    #[error(
        "the attribute `{0}` must be a text without control characters, a whole number, or true or false"
    )]
    BadAttributeValue(String),
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

/// What a message may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one message, all attributes and data together. Default 1 MiB, the log's
    /// limit for one event.
    pub message_bytes: usize,
    /// The most messages in one batch. Default 1,000.
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            batch: 1_000,
        }
    }
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
        self.extensions.get(name).and_then(Value::as_str)
    }

    /// The same message about `subject`.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same message in the order of `key`.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same message with the time at which it happened.
    #[must_use]
    pub const fn with_time(mut self, time: Timestamp) -> Self {
        self.time = Some(time);
        self
    }

    /// The same message with an extension attribute: a text, a whole number or a boolean. Whether
    /// the name is legal is found out by [`validate`](Self::validate).
    #[must_use]
    pub fn with_extension(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// The same message under the trace of the running task, if there is one.
    #[must_use]
    pub fn with_traceparent(mut self) -> Self {
        self.traceparent = None;
        match trace::current() {
            Some(context) => self.within(&context),
            None => self,
        }
    }

    /// The same message under a trace: `traceparent` and, if vendors added to it, `tracestate`
    /// (extension "Distributed Tracing").
    #[must_use]
    pub fn within(mut self, context: &TraceContext) -> Self {
        self.traceparent = Some(context.to_traceparent());
        match &context.state {
            Some(state) => self.with_extension(TRACESTATE, &**state),
            None => self,
        }
    }

    /// The trace that the message belongs to.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::parse_with_state(self.traceparent.as_deref()?, self.extension(TRACESTATE))
    }

    /// Checks the message against the specification and `limits`. Every engine does so before it
    /// takes a message.
    pub fn validate(&self, limits: &Limits) -> Result<(), MessageError> {
        let required = [
            ("id", &self.id),
            ("source", &self.source),
            ("type", &self.kind),
        ];
        for (name, value) in required {
            check_required(name, value)?;
        }
        let optional = [
            ("subject", &self.subject),
            ("partitionkey", &self.key),
            ("traceparent", &self.traceparent),
            ("datacontenttype", &self.datacontenttype),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                check_required(name, value)?;
            }
        }
        for (name, value) in &self.extensions {
            check_extension(name, value)?;
        }
        let actual = self.size();
        let limit = limits.message_bytes;
        if actual > limit {
            return Err(MessageError::TooLarge { actual, limit });
        }
        Ok(())
    }

    /// Its size in bytes: the names and values of its attributes, and its data. The JSON around
    /// them is not counted.
    pub fn size(&self) -> usize {
        let texts = [
            self.subject.as_deref(),
            self.key.as_deref(),
            self.traceparent.as_deref(),
            self.datacontenttype.as_deref(),
            self.data.as_deref().map(RawValue::get),
        ];
        let extension =
            |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(8, str::len);
        self.id.len()
            + self.source.len()
            + self.kind.len()
            + texts.into_iter().flatten().map(str::len).sum::<usize>()
            + self.extensions.iter().map(extension).sum::<usize>()
    }
}

fn check_required(name: &'static str, value: &str) -> Result<(), MessageError> {
    if value.is_empty() {
        Err(MessageError::Empty(name))
    } else if value.contains(char::is_control) {
        Err(MessageError::BadAttributeValue(name.to_owned()))
    } else {
        Ok(())
    }
}

fn check_extension(name: &str, value: &Value) -> Result<(), MessageError> {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !letters || name.is_empty() || name.len() > LONGEST_NAME || RESERVED.contains(&name) {
        return Err(MessageError::BadAttributeName(
            name.chars().take(80).collect(),
        ));
    }
    let legal = match value {
        Value::String(text) => !text.contains(char::is_control),
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    if legal {
        Ok(())
    } else {
        Err(MessageError::BadAttributeValue(name.to_owned()))
    }
}

/// What vendors know about the trace.
const TRACESTATE: &str = "tracestate";
/// The longest name of an extension. The specification asks for 20 and allows more.
const LONGEST_NAME: usize = 64;

/// Names with a meaning of their own, which are no extensions.
const RESERVED: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "partitionkey",
    "traceparent",
    "datacontenttype",
    "data",
];

#[cfg(test)]
mod tests {
    use ieum_base::Rng;
    use serde_json::json;

    use super::*;

    fn placed() -> Message {
        Message::new("/orders", "1", "order.placed", &json!({"total": 200})).expect("json")
    }

    #[test]
    fn is_a_cloud_event_in_json() {
        let message = placed()
            .with_subject("o-1")
            .with_key("o-1")
            .with_time("2026-11-01T00:00:00Z".parse().expect("a time"))
            .with_extension("flow", "orchestrated");
        let json = serde_json::to_value(&message).expect("json");
        let expected = json!({
            "specversion": "1.0", "id": "1", "source": "/orders", "type": "order.placed",
            "subject": "o-1", "time": "2026-11-01T00:00:00.000000Z", "partitionkey": "o-1",
            "data": {"total": 200}, "flow": "orchestrated",
        });
        assert_eq!(json, expected);
        let text = serde_json::to_string(&message).expect("json");
        let back: Message = serde_json::from_str(&text).expect("a message");
        assert_eq!(back.extension("flow"), Some("orchestrated"));
        assert_eq!(serde_json::to_string(&back).expect("json"), text);
    }

    #[test]
    fn the_same_source_and_id_are_one_event() {
        assert_eq!(placed().event_id(), placed().with_subject("x").event_id());
        let other = Message::new("/order", "s1", "order.placed", &()).expect("json");
        let same_letters = Message::new("/orders", "1", "order.placed", &()).expect("json");
        assert_ne!(other.event_id(), same_letters.event_id());
    }

    #[test]
    fn says_what_is_wrong_with_it() {
        let mut empty = placed();
        empty.id.clear();
        let mut broken = placed();
        broken.source = "/ord\ners".into();
        let long = Limits {
            message_bytes: 10,
            ..Limits::default()
        };
        let none = Limits::default();
        let cases = [
            (
                empty,
                none,
                "the attribute `id` of a CloudEvent must not be empty",
            ),
            (broken, none, "the attribute `source` must be a text"),
            (
                placed().with_extension("Flow", "x"),
                none,
                "`Flow` is not an extension",
            ),
            (
                placed().with_extension("data", "x"),
                none,
                "`data` is not an extension",
            ),
            (
                placed().with_extension("flow", json!({})),
                none,
                "the attribute `flow` must be",
            ),
            (
                placed().with_extension("share", json!(0.5)),
                none,
                "the attribute `share` must be",
            ),
            (placed().with_subject(""), none, "the attribute `subject`"),
            (placed(), long, "the message has 33 bytes, the limit is 10"),
        ];
        for (message, limits, expected) in cases {
            let error = message.validate(&limits).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(placed().with_extension("n", 5).validate(&none), Ok(()));
    }

    #[tokio::test]
    async fn carries_the_trace_of_the_task() {
        assert_eq!(placed().with_traceparent().traceparent, None);
        let context = TraceContext::root(&Rng::seeded(1), true).with_state(["vendor=1"]);
        let message = trace::scope(context.clone(), async { placed().with_traceparent() }).await;
        assert_eq!(message.trace_context(), Some(context));
        let json = serde_json::to_value(message).expect("JSON");
        assert_eq!(json["tracestate"], "vendor=1");
    }
}
