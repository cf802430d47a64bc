//! CloudEvents over Kafka: the protocol binding's binary mode, headers `ce_NAME` and `content-type`.
//!
//! Headers of Kafka are texts: a message with an attribute that is a number or a boolean travels in
//! structured mode, so that it comes back as it was. Both modes are read. The record's key is the
//! message's ordering key, which chooses its partition.

use ieum_messaging::binary_mode::{self, Parts};
use ieum_messaging::{Error, ErrorKind, Message, Result, http_binding};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use serde_json::{Map, Value};

/// The header of a dead letter that says why.
pub(crate) const REASON: &str = "ieum-reason";
/// The header of a dead letter that says when, RFC 3339.
pub(crate) const RECORDED_AT: &str = "ieum-recorded-at";

/// A record before it has a topic.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) headers: OwnedHeaders,
    pub(crate) body: Vec<u8>,
}

impl Record {
    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers = insert(self.headers, name, value);
        self
    }
}

/// The record of a message.
pub(crate) fn write(message: &Message) -> Result<Record> {
    let parts = binary_mode::split(message)?.filter(Parts::are_texts);
    let mut headers = OwnedHeaders::new();
    let (content_type, body) = match parts {
        Some(parts) => {
            for (name, value) in &parts.attributes {
                let value = value.as_str().unwrap_or_default();
                headers = insert(headers, &format!("{PREFIX}{name}"), value);
            }
            (parts.content_type, parts.body)
        }
        None => {
            let body = binary_mode::to_structured(message)?;
            (Some(http_binding::STRUCTURED.to_owned()), body)
        }
    };
    if let Some(content_type) = content_type {
        headers = insert(headers, CONTENT_TYPE, &content_type);
    }
    Ok(Record {
        key: message.ordering_key().to_owned(),
        headers,
        body,
    })
}

/// The message of a record; `Invalid` if it is no CloudEvent.
pub(crate) fn read(record: &BorrowedMessage<'_>) -> Result<Message> {
    let body = record.payload().unwrap_or_default();
    let content_type = header(record, CONTENT_TYPE);
    if content_type
        .as_deref()
        .is_some_and(binary_mode::is_structured)
    {
        return binary_mode::from_structured(body);
    }
    let mut attributes = Map::new();
    for header in record.headers().into_iter().flat_map(Headers::iter) {
        if let Some(name) = header.key.strip_prefix(PREFIX) {
            let value = std::str::from_utf8(header.value.unwrap_or_default());
            let value = value.map_err(|_| {
                let why = format!("no CloudEvent: the header `{}` is no UTF-8", header.key);
                Error::new(ErrorKind::Invalid, why)
            })?;
            attributes.insert(name.to_owned(), Value::from(value));
        }
    }
    binary_mode::join(Parts {
        attributes,
        content_type,
        body: body.to_vec(),
    })
}

/// A header that is text.
pub(crate) fn header(record: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let mut headers = record.headers()?.iter();
    let value = headers.find(|header| header.key == name)?.value?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn insert(headers: OwnedHeaders, name: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header {
        key: name,
        value: Some(value),
    })
}

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
