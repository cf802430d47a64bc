//! CloudEvents over NATS: the protocol binding of the specification.
//!
//! A message travels in binary mode (attributes in headers `ce-*`, the data as the payload) if that
//! carries it exactly, which it does unless an extension is a number or a boolean, or the data are no
//! JSON: headers hold texts only. Then it travels in structured mode, with the content type
//! `application/cloudevents+json`. Both are read, and a payload without any header as structured, as
//! version 1.0.2 of the binding has it.

use std::fmt::Write;

use async_nats::HeaderMap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use ieum_messaging::http_binding::{self, BindingError, HEADER_PREFIX, STRUCTURED};
use ieum_messaging::{Limits, Message, MessageError};
use serde_json::Value;

/// Writes a message as headers and payload.
pub(crate) fn write(message: &Message) -> Result<(HeaderMap, Bytes), MessageError> {
    let mut headers = HeaderMap::new();
    if !is_plain(message) {
        let (content_type, body) = http_binding::write_structured(message)?;
        headers.insert(
            CONTENT_TYPE.as_str(),
            content_type.to_str().unwrap_or(STRUCTURED),
        );
        return Ok((headers, body.into()));
    }
    let time = message.time.map(|time| time.to_string());
    let attributes = [
        ("specversion", Some("1.0")),
        ("id", Some(&*message.id)),
        ("source", Some(&*message.source)),
        ("type", Some(&*message.kind)),
        ("subject", message.subject.as_deref()),
        ("time", time.as_deref()),
        ("partitionkey", message.key.as_deref()),
        ("traceparent", message.traceparent.as_deref()),
        ("datacontenttype", message.datacontenttype.as_deref()),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            headers.insert(format!("{HEADER_PREFIX}{name}"), encoded(value));
        }
    }
    for (name, value) in &message.extensions {
        if let Some(value) = value.as_str() {
            headers.insert(format!("{HEADER_PREFIX}{name}"), encoded(value));
        }
    }
    let data = message.data.as_ref().map_or("", |data| data.get());
    Ok((headers, Bytes::copy_from_slice(data.as_bytes())))
}

/// Reads a message, in whichever mode it came.
pub(crate) fn read(
    headers: Option<&HeaderMap>,
    payload: &[u8],
    limits: &Limits,
) -> Result<Message, BindingError> {
    let mut fields = http::HeaderMap::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        let lower = name.to_ascii_lowercase();
        let of_data = lower == DATA_CONTENT_TYPE;
        if !of_data && lower != CONTENT_TYPE.as_str() && !lower.starts_with(HEADER_PREFIX) {
            continue;
        }
        for value in values {
            let field = if of_data {
                CONTENT_TYPE
            } else {
                named(&lower)?
            };
            // The content type of the data is encoded here, and is not over HTTP.
            let text = value.as_str();
            let text = if of_data {
                decoded(text)
            } else {
                text.to_owned()
            };
            let text = HeaderValue::from_str(&text).map_err(|_| illegal(name))?;
            fields.append(field, text);
        }
    }
    if !fields.contains_key(CONTENT_TYPE) && !fields.contains_key(SPEC_VERSION) {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
    }
    let mut messages = http_binding::parse(&fields, payload, limits)?;
    let only = messages.pop().filter(|_| messages.is_empty());
    only.ok_or_else(|| BindingError::MediaType(http_binding::BATCH.to_owned()))
}

/// The bytes that headers and payload take of the server's `max_payload`.
pub(crate) fn size(headers: &HeaderMap, payload: &[u8]) -> usize {
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(move |value| name.len() + value.as_str().len() + 4)
    });
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>() + payload.len()
}

/// Whether headers carry the message exactly.
fn is_plain(message: &Message) -> bool {
    let texts = message.extensions.values().all(Value::is_string);
    let json = message.datacontenttype.as_deref().is_none_or(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    // Data that are `null`, and a content type without data, would read as nothing.
    let data = message.data.as_ref().map(|data| data.get());
    texts && json && data != Some("null") && (data.is_some() || message.datacontenttype.is_none())
}

fn named(lower: &str) -> Result<HeaderName, BindingError> {
    lower.parse().map_err(|_| illegal(lower))
}

fn illegal(name: &str) -> BindingError {
    BindingError::Header {
        name: name.chars().take(80).collect(),
        why: "has characters that a header may not have",
    }
}

/// Percent-encodes what must be, as the binding's § 3.1.3.2 says.
pub(crate) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The reverse.
pub(crate) fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value)
        .decode_utf8_lossy()
        .into_owned()
}

const SPEC_VERSION: &str = "ce-specversion";
const DATA_CONTENT_TYPE: &str = "ce-datacontenttype";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn again(message: &Message) -> (HeaderMap, Message) {
        let (headers, payload) = write(message).expect("JSON");
        let back = read(Some(&headers), &payload, &Limits::default()).expect("valid");
        let json = |message: &Message| serde_json::to_value(message).expect("JSON");
        assert_eq!(json(&back), json(message));
        (headers, back)
    }

    fn placed() -> Message {
        Message::new("/orders", "1", "order.placed", &json!({"total": 200.50})).expect("JSON")
    }

    #[test]
    fn attributes_are_headers_and_the_data_are_the_payload() {
        let mut message = placed()
            .with_subject("주문 \"1\"")
            .with_key("key/1 %-x")
            .with_time("2026-11-01T00:00:00Z".parse().expect("a time"))
            .with_extension("flow", "choreographed");
        message.datacontenttype = Some("application/json".to_owned());
        let (headers, _) = again(&message);
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(header("ce-type").as_deref(), Some("order.placed"));
        assert_eq!(
            header("ce-subject").as_deref(),
            Some("%EC%A3%BC%EB%AC%B8%20%221%22")
        );
        let kind = header("ce-datacontenttype");
        assert_eq!(kind.as_deref(), Some("application/json"));
        let (_, payload) = write(&message).expect("JSON");
        assert_eq!(&payload[..], br#"{"total":200.5}"#);
    }

    #[test]
    fn what_headers_cannot_carry_exactly_travels_structured() {
        let text = |kind: &str| {
            let mut message = placed();
            message.datacontenttype = Some(kind.to_owned());
            message
        };
        let mut nothing = placed();
        nothing.data = None;
        nothing.datacontenttype = Some("application/json".to_owned());
        for message in [
            placed().with_extension("count", 7),
            placed().with_extension("final", true),
            text("text/plain"),
            nothing,
        ] {
            let (headers, _) = again(&message);
            assert_eq!(
                headers.get("content-type").map(|v| v.as_str()),
                Some(STRUCTURED)
            );
            assert!(headers.get("ce-id").is_none());
        }
    }

    #[test]
    fn messages_of_others_are_read() {
        let limits = Limits::default();
        let body = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}"#;
        assert_eq!(read(None, body, &limits).expect("version 1.0.2").id, "1");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("CE-SpecVersion", "1.0"),
            ("ce-id", "\"a b\""),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-datacontenttype", "text/plain"),
            ("Nats-Msg-Id", "x"),
        ] {
            headers.insert(name, value);
        }
        let message = read(Some(&headers), "이음".as_bytes(), &limits).expect("valid");
        assert_eq!(
            (&*message.id, message.data.as_ref().map(|d| d.get())),
            ("a b", Some("\"이음\""))
        );
        for wrong in [&b"{"[..], b"not json"] {
            assert!(read(None, wrong, &limits).is_err());
        }
    }

    #[test]
    fn the_size_is_that_on_the_wire() {
        let (headers, payload) = write(&placed()).expect("JSON");
        let lines: usize = [
            "ce-specversion: 1.0\r\n",
            "ce-id: 1\r\n",
            "ce-source: /orders\r\n",
            "ce-type: order.placed\r\n",
            "NATS/1.0\r\n\r\n",
        ]
        .iter()
        .map(|line| line.len())
        .sum();
        assert_eq!(size(&headers, &payload), lines + payload.len());
    }
}
