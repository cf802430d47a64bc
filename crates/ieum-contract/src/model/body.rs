//! Bodies and their media types.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{Result, invalid};

/// A body.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// The contract says nothing about it.
    #[default]
    Missing,
    /// There is none.
    Empty,
    /// There is none, written as `null`.
    Null,
    /// There is one.
    Present {
        /// What is in it.
        bytes: Bytes,
        /// Its type, if the file says it.
        media_type: Option<String>,
    },
}

impl Body {
    /// A JSON body.
    pub fn json(value: &Value) -> Self {
        Self::Present {
            bytes: value.to_string().into(),
            media_type: Some("application/json".to_owned()),
        }
    }

    /// A body of that came over the wire; without bytes it is empty.
    pub fn of_wire(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        Self::Present {
            bytes,
            media_type: None,
        }
    }

    /// The bytes; none if there is no body.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Present { bytes, .. } => bytes.clone(),
            _ => Bytes::new(),
        }
    }

    /// Its type: of the file, of the header, or of how it looks.
    pub(super) fn media_type(&self, header: Option<&Vec<String>>) -> Option<MediaType> {
        let told = match self {
            Self::Present {
                media_type: Some(told),
                ..
            } => MediaType::parse(told),
            _ => None,
        };
        told.or_else(|| MediaType::parse(&header?.join(", ")))
            .or_else(|| match self {
                Self::Present { bytes, .. } => Some(MediaType::guess(bytes)),
                _ => None,
            })
    }

    /// Reads a body of the versions 1 to 3: JSON as it is, anything else as a string.
    pub(super) fn of_plain_json(value: Option<&Value>, media_type: Option<&MediaType>) -> Self {
        let present = |bytes: Bytes| Self::Present {
            bytes,
            media_type: None,
        };
        match value {
            None => Self::Missing,
            Some(Value::Null) => Self::Null,
            Some(Value::String(text)) if text.is_empty() => Self::Empty,
            Some(Value::String(text)) => {
                let is_json = media_type.is_some_and(MediaType::is_json);
                if is_json && serde_json::from_str::<Value>(text).is_err() {
                    return present(json!(text).to_string().into());
                }
                let binary = media_type.is_some_and(MediaType::is_binary);
                let decoded = binary.then(|| STANDARD.decode(text).ok()).flatten();
                present(decoded.map_or_else(|| text.clone().into(), Bytes::from))
            }
            Some(value) => present(value.to_string().into()),
        }
    }

    /// Reads a body of version 4: `{content, contentType, encoded}`.
    pub(super) fn of_wrapped_json(value: Option<&Value>) -> Result<Self> {
        let Some(value) = value else {
            return Ok(Self::Missing);
        };
        let Some(content) = value.get("content") else {
            return Ok(if value.is_null() {
                Self::Null
            } else {
                Self::Empty
            });
        };
        let encoded = match &value["encoded"] {
            Value::String(name) => name.to_lowercase(),
            Value::Bool(true) => "base64".to_owned(),
            _ => String::new(),
        };
        let bytes: Bytes = match (encoded.as_str(), content) {
            ("", Value::Null) => return Ok(Self::Null),
            ("", Value::String(text)) => text.clone().into(),
            ("", value) | ("json", value) => value.to_string().into(),
            ("base64", Value::String(text)) => STANDARD
                .decode(text)
                .map_err(|error| invalid("a body is no base64").caused_by(error))?
                .into(),
            (other, _) => return Err(invalid(format!("the encoding `{other}` is not known"))),
        };
        let media_type = value["contentType"].as_str().map(str::to_owned);
        Ok(match bytes.is_empty() {
            true => Self::Empty,
            false => Self::Present { bytes, media_type },
        })
    }

    /// As in a file of version 4; `None` if the contract says nothing about it.
    pub(super) fn to_json(&self, media_type: Option<&MediaType>) -> Option<Value> {
        let bytes = match self {
            Self::Missing => return None,
            Self::Empty => return Some(json!({ "content": "" })),
            Self::Null => return Some(json!({ "content": null })),
            Self::Present { bytes, .. } => bytes,
        };
        let name = media_type.map_or("*/*".to_owned(), ToString::to_string);
        if media_type.is_some_and(MediaType::is_json)
            && let Ok(value) = serde_json::from_slice::<Value>(bytes)
        {
            let encoded = if value.is_string() {
                json!("JSON")
            } else {
                json!(false)
            };
            return Some(json!({ "content": value, "contentType": name, "encoded": encoded }));
        }
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => json!({ "content": text, "contentType": name, "encoded": false }),
            Err(_) => {
                let text = STANDARD.encode(bytes);
                json!({ "content": text, "contentType": name, "encoded": "base64" })
            }
        })
    }
}

/// A media type with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    main: String,
    sub: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads `main/sub; name=value`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let (main, sub) = parts.next()?.trim().split_once('/')?;
        let parameters = parts.filter_map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            Some((name.trim().to_lowercase(), value.trim().to_lowercase()))
        });
        Some(Self {
            main: main.trim().to_lowercase(),
            sub: sub.trim().to_lowercase(),
            parameters: parameters.collect(),
        })
    }

    /// The type that a body looks like: JSON, XML or text.
    fn guess(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
        let text = text.trim_start();
        let looks_like_json = text.starts_with(['{', '[', '"'])
            || text.starts_with(|c: char| c.is_ascii_digit())
            || ["true", "false", "null"]
                .iter()
                .any(|word| text.starts_with(word));
        let (main, sub) = match text {
            xml if xml.starts_with("<?xml") => ("application", "xml"),
            html if html.to_lowercase().starts_with("<html") => ("text", "html"),
            _ if looks_like_json => ("application", "json"),
            _ => ("text", "plain"),
        };
        Self {
            main: main.to_owned(),
            sub: sub.to_owned(),
            parameters: Vec::new(),
        }
    }

    /// The same without parameters.
    pub(crate) fn without_parameters(&self) -> Self {
        Self {
            parameters: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether it is this one, whatever its parameters.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main == main && self.sub == sub
    }

    /// Whether it is JSON, or one of its dialects (`+json`).
    pub fn is_json(&self) -> bool {
        self.main == "application" && (self.sub.starts_with("json") || self.sub.ends_with("+json"))
    }

    /// Whether it is XML, or one of its dialects (`+xml`).
    pub fn is_xml(&self) -> bool {
        self.sub == "xml" || self.sub.ends_with("+xml")
    }

    /// Whether bodies of the type are no text.
    fn is_binary(&self) -> bool {
        match self.main.as_str() {
            "audio" | "font" | "image" | "video" => true,
            "application" => matches!(
                self.sub.as_str(),
                "octet-stream" | "pdf" | "zip" | "gzip" | "x-protobuf" | "protobuf"
            ),
            _ => false,
        }
    }

    /// Whether a body of the type `other` may stand where this one is expected: the same type, or
    /// one whose suffix says so; the parameters count if this one has any.
    pub(crate) fn accepts(&self, other: &Self) -> bool {
        let unknown = |of: &Self| of.main == "*" || of.sub == "*";
        if unknown(self) || unknown(other) {
            return true;
        }
        if !self.parameters.is_empty() {
            return self == other;
        }
        let suffix = other.sub.rsplit_once('+').map(|(_, suffix)| suffix);
        self.main == other.main && (self.sub == other.sub || suffix == Some(&self.sub))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.main, self.sub)?;
        self.parameters
            .iter()
            .try_for_each(|(name, value)| write!(f, ";{name}={value}"))
    }
}
