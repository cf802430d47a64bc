//! CloudEvents over AMQP: binary mode of the protocol binding, spelled for AMQP 0-9-1.
//!
//! Attributes are headers `cloudEvents_NAME` (numbers and booleans keep their type), the content type
//! is that of the data, the body is the data. What that cannot carry exactly (whole numbers above 63
//! bits, attributes that do not fit into one frame) travels as `application/cloudevents+json`. Both
//! modes are read, and headers `cloudEvents:NAME` as older clients write them.

use ieum_messaging::binary_mode::{self, Parts};
use ieum_messaging::{Error, ErrorKind, Message, Result, http_binding};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value};

/// The header of a dead letter that says why, in a sentence.
pub(crate) const REASON: &str = "ieum-reason";
/// The header of a dead letter that says when, RFC 3339.
pub(crate) const RECORDED_AT: &str = "ieum-recorded-at";
/// The header of a message that waits behind a dead letter: the position of that one.
pub(crate) const BEHIND: &str = "ieum-behind";

/// Properties and body of a message.
pub(crate) fn write(message: &Message) -> Result<(BasicProperties, Vec<u8>)> {
    let parts = binary_mode::split(message)?;
    let binary = parts.filter(|parts| parts.header_bytes() <= MOST_HEADER_BYTES);
    let headers = binary.as_ref().and_then(|p| headers(&p.attributes));
    let common = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_headers(FieldTable::default());
    let common = match ShortString::try_new(message.id.clone()) {
        Ok(id) => common.with_message_id(id),
        Err(_) => common,
    };
    let Some((parts, headers)) = binary.zip(headers) else {
        let body = binary_mode::to_structured(message)?;
        let properties = common.with_content_type(http_binding::STRUCTURED.into());
        return Ok((properties, body));
    };
    let properties = match parts.content_type {
        Some(content_type) => common.with_content_type(content_type.into()),
        None => common,
    };
    Ok((properties.with_headers(headers), parts.body))
}

/// The message of properties and a body; `Invalid` if they are no CloudEvent.
pub(crate) fn read(properties: &BasicProperties, body: Vec<u8>) -> Result<Message> {
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    if content_type
        .as_deref()
        .is_some_and(binary_mode::is_structured)
    {
        return binary_mode::from_structured(&body);
    }
    let mut attributes = Map::new();
    let headers = properties.headers().iter().flat_map(FieldTable::inner);
    for (name, value) in headers {
        let name = name.as_str();
        let attribute = [PREFIX, OLD_PREFIX].iter();
        let attribute = attribute.filter_map(|p| name.strip_prefix(p)).next();
        if let Some(attribute) = attribute {
            attributes.insert(attribute.to_owned(), attribute_value(name, value)?);
        }
    }
    binary_mode::join(Parts {
        attributes,
        content_type,
        body,
    })
}

/// A header that is text.
pub(crate) fn header(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A header that is a whole number.
pub(crate) fn number(properties: &BasicProperties, name: &str) -> Option<u64> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongLongInt(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The attributes as headers; `None` if one cannot be carried as it is.
fn headers(attributes: &Map<String, Value>) -> Option<FieldTable> {
    let mut headers = FieldTable::default();
    for (name, value) in attributes {
        let value = match value {
            Value::String(text) => AMQPValue::LongString(text.clone().into()),
            Value::Bool(truth) => AMQPValue::Boolean(*truth),
            Value::Number(number) => AMQPValue::LongLongInt(number.as_i64()?),
            _ => return None,
        };
        headers.insert(format!("{PREFIX}{name}").into(), value);
    }
    Some(headers)
}

fn attribute_value(name: &str, value: &AMQPValue) -> Result<Value> {
    Ok(match value {
        AMQPValue::LongString(text) => {
            let text = std::str::from_utf8(text.as_bytes());
            let text = text.map_err(|_| wrong(name, "is no UTF-8"))?;
            Value::from(text)
        }
        AMQPValue::ShortString(text) => Value::from(text.as_str()),
        AMQPValue::Boolean(truth) => Value::from(*truth),
        AMQPValue::ShortShortInt(number) => Value::from(*number),
        AMQPValue::ShortShortUInt(number) => Value::from(*number),
        AMQPValue::ShortInt(number) => Value::from(*number),
        AMQPValue::ShortUInt(number) => Value::from(*number),
        AMQPValue::LongInt(number) => Value::from(*number),
        AMQPValue::LongUInt(number) => Value::from(*number),
        AMQPValue::LongLongInt(number) => Value::from(*number),
        _ => return Err(wrong(name, "is no text, whole number or boolean")),
    })
}

fn wrong(name: &str, why: &str) -> Error {
    let why = format!("no CloudEvent: the header `{name}` {why}");
    Error::new(ErrorKind::Invalid, why)
}

const PREFIX: &str = "cloudEvents_";
const OLD_PREFIX: &str = "cloudEvents:";
/// Headers travel in one frame, which has 4 KiB at least and 128 KiB by default.
const MOST_HEADER_BYTES: usize = 16 << 10;
/// The delivery mode of a message that is written to disk.
const PERSISTENT: u8 = 2;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> Message {
        Message::new("/s", "1", "t", &json!({"n": 1}))
            .expect("a message")
            .with_key("키")
            .with_extension("count", -7)
            .with_extension("final", true)
    }

    #[track_caller]
    fn check(message: &Message, content_type: Option<&str>) -> BasicProperties {
        let (properties, body) = write(message).expect("written");
        let found = properties.content_type().as_ref().map(ShortString::as_str);
        assert_eq!(found, content_type);
        let back = read(&properties, body).expect("read");
        let json = |message: &Message| serde_json::to_value(message).expect("JSON");
        assert_eq!(json(&back), json(message));
        properties
    }

    #[test]
    fn a_message_comes_back_in_either_mode() {
        let properties = check(&message(), None);
        let id = header(&properties, "cloudEvents_id");
        assert_eq!(id.as_deref(), Some("1"));
        let structured = Some(http_binding::STRUCTURED);
        check(&message().with_extension("large", u64::MAX), structured);
        check(&message().with_subject("s".repeat(20_000)), structured);
    }

    #[test]
    fn what_other_clients_write_is_read() {
        let mut headers = FieldTable::default();
        for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "/s")] {
            let value = AMQPValue::LongString(value.into());
            headers.insert(format!("cloudEvents:{name}").into(), value);
        }
        headers.insert(
            "cloudEvents:type".into(),
            AMQPValue::ShortString("t".into()),
        );
        let properties = BasicProperties::default().with_headers(headers.clone());
        let read_back = read(&properties, b"[1]".to_vec()).expect("a message");
        assert_eq!(read_back.kind, "t");
        let refused = read(&BasicProperties::default(), b"[1]".to_vec());
        assert_eq!(refused.expect_err("no headers").kind(), ErrorKind::Invalid);
        headers.insert("cloudEvents:share".into(), AMQPValue::Double(0.5));
        let properties = BasicProperties::default().with_headers(headers);
        let refused = read(&properties, Vec::new()).expect_err("a fraction");
        assert!(
            refused.to_string().contains("`cloudEvents:share`"),
            "{refused}"
        );
    }
}
