//! CloudEvents in binary mode, for protocols whose messages have headers and a body: the attributes
//! are headers, the data are the body.
//!
//! Each broker's adapter spells the headers as its protocol binding says (`cloudEvents_id` for AMQP,
//! `ce_id` for Kafka, `ce-id` for NATS); what goes into them and comes out of them is the same.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Message, Result};

/// A message taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Its attributes without `datacontenttype`: texts, whole numbers and booleans.
    pub attributes: Map<String, Value>,
    /// The media type of the body, as the message says it.
    pub content_type: Option<String>,
    /// The data; empty if there are none.
    pub body: Vec<u8>,
}

impl Parts {
    /// True if every attribute is a text: a protocol whose headers are only texts can carry it
    /// without losing what is a number.
    pub fn are_texts(&self) -> bool {
        self.attributes.values().all(Value::is_string)
    }

    /// The bytes of all names and values of the attributes.
    pub fn header_bytes(&self) -> usize {
        let bytes = |(name, value): (&String, &Value)| {
            let value = value.as_str().map_or(8, str::len);
            name.len() + value
        };
        self.attributes.iter().map(bytes).sum()
    }
}

/// Takes a message apart; `None` if its parts would not be it any more, because its data are not of
/// the type that it says: it goes in structured mode.
pub fn split(message: &Message) -> Result<Option<Parts>> {
    let content_type = message.datacontenttype.clone();
    let data = message.data.as_ref().map(|data| data.get());
    let body = match (data, content_type.as_deref().map(kind_of)) {
        (None, Some(Kind::Text)) => return Ok(None),
        (None, _) => Vec::new(),
        (Some(json), Some(Kind::Text)) => match serde_json::from_str::<String>(json) {
            Ok(text) => text.into_bytes(),
            Err(_) => return Ok(None),
        },
        (Some(json), _) => json.as_bytes().to_vec(),
    };
    let bare = Message {
        data: None,
        datacontenttype: None,
        ..message.clone()
    };
    let Ok(Value::Object(attributes)) = serde_json::to_value(&bare) else {
        return Err(Error::new(
            ErrorKind::Internal,
            "a message is no JSON object",
        ));
    };
    Ok(Some(Parts {
        attributes,
        content_type,
        body,
    }))
}

/// Puts a message together; `Invalid` if it is no CloudEvent, or its data are not what their type
/// says.
pub fn join(parts: Parts) -> Result<Message> {
    let wrong = |why: String| Error::new(ErrorKind::Invalid, format!("no CloudEvent: {why}"));
    for carried_otherwise in ["data", "data_base64", "datacontenttype"] {
        if parts.attributes.contains_key(carried_otherwise) {
            return Err(wrong(format!("`{carried_otherwise}` is no header")));
        }
    }
    let message = serde_json::from_value(Value::Object(parts.attributes));
    let mut message: Message = message.map_err(|error| wrong(error.to_string()))?;
    let kind = parts.content_type.as_deref().map_or(Kind::Json, kind_of);
    if !parts.body.is_empty() || kind == Kind::Text {
        message.data = Some(data(kind, &parts.body).map_err(wrong)?);
    }
    message.datacontenttype = parts.content_type;
    Ok(message)
}

/// The message as one JSON object, for what binary mode cannot carry exactly: the body of the type
/// [`STRUCTURED`](crate::http_binding::STRUCTURED).
pub fn to_structured(message: &Message) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(message);
    json.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// The reverse; `Invalid` if it is no CloudEvent.
pub fn from_structured(body: &[u8]) -> Result<Message> {
    let message = crate::http_binding::structured(body);
    message.map_err(|error| Error::new(ErrorKind::Invalid, format!("no CloudEvent: {error}")))
}

/// True if a content type says that the body is a whole CloudEvent.
pub fn is_structured(content_type: &str) -> bool {
    essence(content_type) == crate::http_binding::STRUCTURED
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Other,
}

fn kind_of(content_type: &str) -> Kind {
    let essence = essence(content_type);
    if matches!(essence.as_str(), "" | "application/json" | "text/json")
        || essence.ends_with("+json")
    {
        Kind::Json
    } else if essence.starts_with("text/") {
        Kind::Text
    } else {
        Kind::Other
    }
}

fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// The body as JSON. A type of somebody else's is taken as JSON if it is JSON, else as text.
fn data(kind: Kind, body: &[u8]) -> std::result::Result<Box<RawValue>, String> {
    let json = || serde_json::from_slice::<Box<RawValue>>(body);
    let text = || {
        let text = std::str::from_utf8(body).map_err(|_| "its data are no text".to_owned())?;
        serde_json::value::to_raw_value(text).map_err(|error| error.to_string())
    };
    match kind {
        Kind::Json => json().map_err(|error| format!("its data are no JSON: {error}")),
        Kind::Text => text(),
        Kind::Other => json().or_else(|_| text()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(content_type: Option<&str>, data: &Value) -> Message {
        let mut message = Message::new("/s", "1", "t", data).expect("a message");
        message.datacontenttype = content_type.map(str::to_owned);
        message.with_key("k").with_extension("count", 7)
    }

    #[track_caller]
    fn check(content_type: Option<&str>, data: &Value, body: &str) {
        let message = message(content_type, data);
        let parts = split(&message).expect("JSON").expect("parts");
        assert_eq!(String::from_utf8_lossy(&parts.body), body);
        let back = join(parts).expect("a message");
        let json = |message: &Message| serde_json::to_value(message).expect("JSON");
        assert_eq!(json(&back), json(&message));
        let whole = to_structured(&message).expect("JSON");
        assert_eq!(
            json(&from_structured(&whole).expect("read")),
            json(&message)
        );
    }

    #[test]
    fn a_message_comes_back_from_its_parts() {
        check(None, &json!({"n": 1.5}), r#"{"n":1.5}"#);
        check(Some("application/json"), &json!("12"), r#""12""#);
        check(Some("application/vnd.x+json"), &json!(12), "12");
        check(Some("text/plain; charset=utf-8"), &json!("12"), "12");
        check(Some("application/x-y"), &json!([1]), "[1]");
        check(Some("text/plain"), &json!(""), "");
        let no_text = split(&message(Some("text/plain"), &json!([1])));
        assert_eq!(no_text.expect("JSON"), None);
        let bare = Message {
            data: None,
            ..message(None, &json!(1))
        };
        let parts = split(&bare).expect("JSON").expect("parts");
        assert!(parts.body.is_empty() && !parts.are_texts());
        assert_eq!(parts.attributes["partitionkey"], "k");
        assert!(join(parts).expect("a message").data.is_none());
    }

    #[test]
    fn data_of_others_are_read_as_what_they_are() {
        let parts = split(&message(None, &json!(1)));
        let mut parts = parts.expect("JSON").expect("parts");
        parts.content_type = Some("application/xml".into());
        parts.body = "<주문/>".into();
        let read = join(parts.clone()).expect("a message");
        assert_eq!(read.decode::<String>().expect("text"), "<주문/>");
        parts.body = vec![0xFF];
        let refused = join(parts.clone()).expect_err("no text");
        assert_eq!(refused.to_string(), "no CloudEvent: its data are no text");
        parts.attributes.remove("id");
        parts.body.clear();
        let refused = join(parts).expect_err("no id").to_string();
        assert!(refused.contains("missing field `id`"), "{refused}");
        assert!(is_structured("Application/CloudEvents+JSON; charset=UTF-8"));
        assert!(from_structured(b"{}").is_err());
    }
}
