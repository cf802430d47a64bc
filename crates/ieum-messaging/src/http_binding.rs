//! CloudEvents over HTTP: the protocol binding 1.0.2 of the specification.
//!
//! | mode | content type | attributes | data |
//! |---|---|---|---|
//! | structured | [`STRUCTURED`] | members of the JSON object | its `data` or `data_base64` |
//! | batch | [`BATCH`] | an array of such objects | |
//! | binary | that of the data | headers `ce-*`, percent-encoded | the body |
//!
//! Data are JSON, or text (which becomes a JSON string). Other media types are refused, because the
//! log keeps JSON: send a reference to them instead.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Limits, Message, MessageError};

/// The media type of one message with its attributes.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// The media type of several messages with their attributes.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// The prefix of the headers that carry attributes in binary mode.
pub const HEADER_PREFIX: &str = "ce-";

/// Why a request is not a CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// The content type is none that carries a CloudEvent. Status 415.
    #[error(
        "a CloudEvent cannot be sent as `{0}`: use {STRUCTURED}, {BATCH}, or the headers `ce-*` with \
         JSON or text as the body"
    )]
    MediaType(String),
    /// The data are neither JSON nor text. Status 415.
    #[error("data of type `{0}` are not kept: send JSON, text, or a reference to them")]
    DataType(String),
    /// The body is not what its content type says. Status 400.
    #[error("the body is not as its content type says: {0}")]
    Body(String),
    /// A header cannot be an attribute. Status 400.
    #[error("the header `{name}` {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are more messages than the limit. Status 413.
    #[error("the batch has {actual} messages, the limit is {limit}")]
    TooMany {
        /// How many there are.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// A message breaks the specification or a limit. Status 400, or 413 if it is too large.
    #[error("message {index}: {error}")]
    Message {
        /// Its place in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        error: MessageError,
    },
}

impl BindingError {
    /// The HTTP status that answers it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::MediaType(_) | Self::DataType(_) => 415,
            Self::TooMany { .. }
            | Self::Message {
                error: MessageError::TooLarge { .. },
                ..
            } => 413,
            Self::Body(_) | Self::Header { .. } | Self::Message { .. } => 400,
        }
    }
}

/// Reads the messages of a request, in whichever mode it has; each is valid and within `limits`.
/// The body's size is bounded by whoever collected it.
pub fn parse(
    headers: &HeaderMap,
    body: &[u8],
    limits: &Limits,
) -> Result<Vec<Message>, BindingError> {
    let content_type = ContentType::read(headers)?;
    let messages = match content_type.essence.as_str() {
        STRUCTURED => vec![structured(body)?],
        BATCH => batch(body, limits)?,
        other if other.starts_with("application/cloudevents") => {
            return Err(BindingError::MediaType(other.to_owned()));
        }
        _ if headers.contains_key(SPECVERSION) => vec![binary(headers, &content_type, body)?],
        other => return Err(BindingError::MediaType(other.to_owned())),
    };
    for (index, message) in messages.iter().enumerate() {
        let valid = message.validate(limits);
        valid.map_err(|error| BindingError::Message { index, error })?;
    }
    Ok(messages)
}

/// Writes one message: the content type and the body.
pub fn write_structured(message: &Message) -> Result<(HeaderValue, Vec<u8>), MessageError> {
    let body = serde_json::to_vec(message).map_err(|error| not_json(&message.kind, &error))?;
    Ok((HeaderValue::from_static(STRUCTURED), body))
}

/// Writes several messages: the content type and the body.
pub fn write_batch(messages: &[Message]) -> Result<(HeaderValue, Vec<u8>), MessageError> {
    let kind = messages.first().map_or("", |message| &message.kind);
    let body = serde_json::to_vec(messages).map_err(|error| not_json(kind, &error))?;
    Ok((HeaderValue::from_static(BATCH), body))
}

fn not_json(kind: &str, error: &serde_json::Error) -> MessageError {
    MessageError::Data {
        kind: kind.to_owned(),
        why: error.to_string(),
    }
}

pub(crate) fn structured(body: &[u8]) -> Result<Message, BindingError> {
    settled(serde_json::from_slice(body).map_err(|error| not_as_said(&error))?)
}

fn batch(body: &[u8], limits: &Limits) -> Result<Vec<Message>, BindingError> {
    let items: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| not_as_said(&error))?;
    let (actual, limit) = (items.len(), limits.batch);
    if actual > limit {
        return Err(BindingError::TooMany { actual, limit });
    }
    let read = |(index, item): (usize, &&RawValue)| {
        let message = serde_json::from_str(item.get());
        let why = |error| BindingError::Body(format!("message {index}: {error}"));
        settled(message.map_err(why)?)
    };
    items.iter().enumerate().map(read).collect()
}

fn not_as_said(error: &serde_json::Error) -> BindingError {
    BindingError::Body(error.to_string())
}

/// Resolves what the JSON format allows beside our own shape: `null` for an absent extension, and
/// data in `data_base64`.
fn settled(mut message: Message) -> Result<Message, BindingError> {
    message.extensions.retain(|_, value| !value.is_null());
    let Some(encoded) = message.extensions.remove("data_base64") else {
        return Ok(message);
    };
    let both = message.data.is_some();
    let bytes = encoded
        .as_str()
        .filter(|_| !both)
        .map(|text| STANDARD.decode(text));
    let Some(Ok(bytes)) = bytes else {
        let why = "`data_base64` is base64 text, and excludes `data`";
        return Err(BindingError::Body(why.to_owned()));
    };
    let content_type = ContentType::parse(message.datacontenttype.as_deref().unwrap_or(JSON));
    message.data = content_type.data(&bytes)?;
    Ok(message)
}

fn binary(
    headers: &HeaderMap,
    content_type: &ContentType,
    body: &[u8],
) -> Result<Message, BindingError> {
    let mut attributes = serde_json::Map::new();
    for name in headers.keys() {
        if let Some(attribute) = name.as_str().strip_prefix(HEADER_PREFIX) {
            let value = header_value(headers, name)?;
            attributes.insert(attribute.to_owned(), Value::String(value));
        }
    }
    for carried_otherwise in ["data", "data_base64", "datacontenttype"] {
        if attributes.contains_key(carried_otherwise) {
            return Err(BindingError::Header {
                name: format!("{HEADER_PREFIX}{carried_otherwise}"),
                why: "does not exist in binary mode",
            });
        }
    }
    let mut message: Message = serde_json::from_value(Value::Object(attributes))
        .map_err(|error| BindingError::Body(format!("in the headers `ce-*`: {error}")))?;
    if !body.is_empty() {
        message.data = content_type.data(body)?;
        message.datacontenttype = Some(content_type.whole.clone()).filter(|t| !t.is_empty());
    }
    Ok(message)
}

/// An attribute's value: in quotes or not, then percent-decoded, as the binding's § 3.1.3.2 says.
fn header_value(headers: &HeaderMap, name: &HeaderName) -> Result<String, BindingError> {
    let refused = |why| BindingError::Header {
        name: name.to_string(),
        why,
    };
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| refused("is missing"))?;
    if values.next().is_some() {
        return Err(refused("appears more than once"));
    }
    let text = value.to_str();
    let text = text.map_err(|_| refused("has characters that must be percent-encoded"))?;
    let text = unquoted(text.trim()).ok_or_else(|| refused("has an unfinished quotation"))?;
    let decoded = percent_decode(text.as_bytes()).decode_utf8();
    let decoded = decoded.map_err(|_| refused("is not UTF-8 when it is percent-decoded"))?;
    Ok(decoded.into_owned())
}

/// The content of a quoted string (RFC 9110, § 5.6.4), or the text itself.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let mut content = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return characters.as_str().is_empty().then_some(content),
            '\\' => content.push(characters.next()?),
            other => content.push(other),
        }
    }
    None
}

const SPECVERSION: &str = "ce-specversion";
const JSON: &str = "application/json";

/// A content type; both texts are empty if there is none.
struct ContentType {
    /// As it was sent.
    whole: String,
    /// Without parameters, in lower case.
    essence: String,
}

impl ContentType {
    fn read(headers: &HeaderMap) -> Result<Self, BindingError> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Ok(Self::parse(""));
        };
        let refused = || BindingError::Header {
            name: CONTENT_TYPE.to_string(),
            why: "is not ASCII text",
        };
        let content_type = Self::parse(value.to_str().map_err(|_| refused())?);
        let lower = content_type.whole.to_ascii_lowercase();
        let charset = lower.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name.trim() == "charset").then(|| value.trim().trim_matches('"').to_owned())
        });
        match charset.as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii") => Ok(content_type),
            Some(_) => Err(BindingError::MediaType(content_type.whole)),
        }
    }

    fn parse(text: &str) -> Self {
        let essence = text.split(';').next().unwrap_or_default();
        Self {
            whole: text.trim().to_owned(),
            essence: essence.trim().to_ascii_lowercase(),
        }
    }

    /// Data of this type as JSON.
    fn data(&self, bytes: &[u8]) -> Result<Option<Box<RawValue>>, BindingError> {
        let essence = self.essence.as_str();
        let is_json = matches!(essence, "" | JSON | "text/json") || essence.ends_with("+json");
        if is_json {
            let data: Option<Box<RawValue>> =
                serde_json::from_slice(bytes).map_err(|error| not_as_said(&error))?;
            return Ok(data);
        }
        let is_text = essence.starts_with("text/")
            || essence == "application/xml"
            || essence.ends_with("+xml");
        let text = std::str::from_utf8(bytes).ok().filter(|_| is_text);
        let text = text.ok_or_else(|| BindingError::DataType(self.whole.clone()))?;
        serde_json::value::to_raw_value(text)
            .map(Some)
            .map_err(|error| not_as_said(&error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        pairs.collect()
    }

    fn read(pairs: &[(&str, &str)], body: &str) -> Result<Vec<Value>, BindingError> {
        let messages = parse(&headers(pairs), body.as_bytes(), &Limits::default())?;
        let json = messages
            .iter()
            .map(|m| serde_json::to_value(m).expect("json"));
        Ok(json.collect())
    }

    fn refusal(pairs: &[(&str, &str)], body: &str) -> (u16, String) {
        let error = read(pairs, body).expect_err("refused");
        (error.status(), error.to_string())
    }

    const STRUCTURED_UTF8: (&str, &str) = (
        "content-type",
        "Application/CloudEvents+JSON; charset=UTF-8",
    );

    #[test]
    fn reads_a_structured_message() {
        let body = r#"{"specversion":"1.0","id":"1","source":"/orders","type":"order.placed",
            "subject":null,"flow":"choreographed","gone":null,"data":{"total":200.00}}"#;
        let expected = json!({"specversion": "1.0", "id": "1", "source": "/orders",
            "type": "order.placed", "flow": "choreographed", "data": {"total": 200.00}});
        assert_eq!(read(&[STRUCTURED_UTF8], body), Ok(vec![expected]));
    }

    #[test]
    fn reads_data_in_base64() {
        let message = |extra: &str| {
            format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{extra}}}"#)
        };
        let json = message(r#""data_base64":"eyJhIjoxfQ==""#);
        let read_json = read(&[STRUCTURED_UTF8], &json).expect("valid");
        assert_eq!(read_json[0]["data"], json!({"a": 1}));
        let text = message(r#""datacontenttype":"text/plain","data_base64":"7J207J2M""#);
        let read_text = read(&[STRUCTURED_UTF8], &text).expect("valid");
        assert_eq!(read_text[0]["data"], json!("이음"));
        let image = message(r#""datacontenttype":"image/png","data_base64":"AAAA""#);
        assert_eq!(refusal(&[STRUCTURED_UTF8], &image).0, 415);
        let both = message(r#""data":1,"data_base64":"AAAA""#);
        assert_eq!(refusal(&[STRUCTURED_UTF8], &both).0, 400);
    }

    #[test]
    fn reads_a_batch_and_says_which_message_is_wrong() {
        let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let two = format!("[{good},{good}]");
        assert_eq!(
            read(&[("content-type", BATCH)], &two).map(|m| m.len()),
            Ok(2)
        );
        assert_eq!(read(&[("content-type", BATCH)], "[]"), Ok(vec![]));
        let bad = format!(r#"[{good},{{"specversion":"1.0","id":"","source":"/s","type":"t"}}]"#);
        let (status, why) = refusal(&[("content-type", BATCH)], &bad);
        assert_eq!(status, 400);
        assert!(why.starts_with("message 1: the attribute `id`"), "{why}");
        let none = format!(r#"[{good},{{"specversion":"1.0"}}]"#);
        let (_, why) = refusal(&[("content-type", BATCH)], &none);
        assert!(why.contains("message 1: missing field `id`"), "{why}");
        let limits = Limits {
            batch: 1,
            ..Limits::default()
        };
        let many = parse(
            &headers(&[("content-type", BATCH)]),
            two.as_bytes(),
            &limits,
        );
        assert_eq!(many.expect_err("too many").status(), 413);
    }

    #[test]
    fn reads_a_binary_message() {
        let pairs = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/orders"),
            ("ce-type", "order.placed"),
            ("ce-subject", "%EC%A3%BC%EB%AC%B8%201"),
            ("ce-flow", "\"a \\\"b\\\"\""),
            ("ce-time", "2026-11-01T00:00:00Z"),
            ("authorization", "Bearer x"),
        ];
        let expected = json!({"specversion": "1.0", "id": "1", "source": "/orders",
            "type": "order.placed", "subject": "주문 1", "flow": "a \"b\"",
            "time": "2026-11-01T00:00:00.000000Z", "datacontenttype": "application/json",
            "data": {"total": 200}});
        assert_eq!(read(&pairs, r#"{"total":200}"#), Ok(vec![expected]));
    }

    #[test]
    fn says_what_is_wrong_with_a_request() {
        let base = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ];
        let with = |pair| [&base[..], &[pair]].concat();
        let cases = [
            (
                vec![("content-type", JSON)],
                "{}",
                415,
                "cannot be sent as `application/json`",
            ),
            (
                vec![("content-type", "application/cloudevents+avro")],
                "",
                415,
                "avro",
            ),
            (
                vec![(
                    "content-type",
                    "application/cloudevents+json; charset=latin1",
                )],
                "",
                415,
                "latin1",
            ),
            (vec![STRUCTURED_UTF8], "{", 400, "EOF"),
            (
                vec![STRUCTURED_UTF8],
                r#"{"specversion":"0.3"}"#,
                400,
                "unknown variant `0.3`",
            ),
            (base[..3].to_vec(), "", 400, "missing field `type`"),
            (with(("content-type", "image/png")), "x", 415, "`image/png`"),
            (with(("content-type", JSON)), "{", 400, "EOF"),
            (
                with(("ce-id", "2")),
                "",
                400,
                "`ce-id` appears more than once",
            ),
            (with(("ce-note", "%FF")), "", 400, "`ce-note` is not UTF-8"),
            (with(("ce-note", "\"open")), "", 400, "unfinished quotation"),
            (
                with(("ce-data", "1")),
                "",
                400,
                "does not exist in binary mode",
            ),
            (
                with(("ce-bad-name", "1")),
                "",
                400,
                "`bad-name` is not an extension",
            ),
            (with(("ce-time", "now")), "", 400, "RFC 3339"),
        ];
        for (pairs, body, status, why) in cases {
            let (got, text) = refusal(&pairs, body);
            assert_eq!(got, status, "{text}");
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let message = Message::new("/s", "1", "t", &json!({"a": 1})).expect("json");
        let (content_type, body) = write_structured(&message).expect("json");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type);
        let back = parse(&headers, &body, &Limits::default()).expect("valid");
        assert_eq!(serde_json::to_vec(&back[0]).expect("json"), body);
        let (content_type, body) = write_batch(&[message.clone(), message]).expect("json");
        headers.insert(CONTENT_TYPE, content_type);
        let back = parse(&headers, &body, &Limits::default()).expect("valid");
        assert_eq!(back.len(), 2);
    }
}
