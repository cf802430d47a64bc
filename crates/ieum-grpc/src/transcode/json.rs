//! JSON and messages, by proto3's JSON mapping.
//!
//! Before a body becomes a message its depth and its number of values are measured without building
//! anything: a few bytes of JSON (`[[[[`, `{},{},`) are many of a message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter;

use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage,
    SerializeOptions,
};
use serde::Deserializer;
use serde::de::value::MapDeserializer;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Track};

use super::error::{Place, TranscodeError, TranscodeErrorKind};

/// What bodies may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) deepest: usize,
    pub(super) most_values: usize,
    /// True if a value of JSON may be a message, see [`super::weight`].
    pub(super) has_heavy_values: bool,
    pub(super) ignores_unknown: bool,
}

/// The message that a body is; an empty body is an empty message.
pub(super) fn read(
    kind: MessageDescriptor,
    body: &[u8],
    bounds: Bounds,
) -> Result<DynamicMessage, TranscodeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(kind));
    }
    measure(body, bounds)?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let message = message(kind, &mut json, bounds)?;
    json.end().map_err(|error| wrong(&error, ""))?;
    Ok(message)
}

/// The message one of whose fields a body is.
pub(super) fn read_field(
    kind: MessageDescriptor,
    field: &FieldDescriptor,
    body: &[u8],
    bounds: Bounds,
) -> Result<DynamicMessage, TranscodeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(kind));
    }
    measure(body, bounds)?;
    let value: &RawValue = serde_json::from_slice(body).map_err(|error| wrong(&error, ""))?;
    let whole = iter::once((field.json_name(), value));
    message(kind, MapDeserializer::new(whole), bounds)
}

fn message<'de>(
    kind: MessageDescriptor,
    json: impl Deserializer<'de, Error = serde_json::Error>,
    bounds: Bounds,
) -> Result<DynamicMessage, TranscodeError> {
    let options = DeserializeOptions::new().deny_unknown_fields(!bounds.ignores_unknown);
    let mut track = Track::new();
    let json = serde_path_to_error::Deserializer::new(json, &mut track);
    let read = DynamicMessage::deserialize_with_options(kind, json, &options);
    read.map_err(|error| wrong(&error, &name(&track.path())))
}

/// `items[2].price`; empty for the whole.
fn name(path: &Path) -> String {
    if path.iter().next().is_none() {
        return String::new();
    }
    path.to_string()
}

fn wrong(error: &serde_json::Error, field: &str) -> TranscodeError {
    let text = error.to_string();
    // The place is told apart.
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    let unknown = text.strip_prefix("unrecognized field name '");
    let unknown = unknown.and_then(|name| name.strip_suffix('\''));
    let (field, detail) = match (unknown, field) {
        // Where the JSON itself ends, the field's name may not have been read.
        _ if !error.is_data() => (String::new(), format!("the body is no JSON: {text}")),
        (Some(name), "") => (name.to_owned(), format!("the field `{name}` is not known")),
        (Some(name), inside) => {
            let field = format!("{inside}.{name}");
            let detail = format!("the field `{field}` is not known");
            (field, detail)
        }
        (None, "") => (String::new(), format!("the body {}", describe(text))),
        (None, field) => {
            let detail = format!("the field `{field}` {}", describe(text));
            (field.to_owned(), detail)
        }
    };
    let place = Place {
        line: error.line(),
        column: error.column(),
    };
    TranscodeError::new(TranscodeErrorKind::Body, detail)
        .of_field(field)
        .at(place)
}

/// What the reader says of a value, without the value, which may be a secret.
fn describe(text: &str) -> String {
    if let Some((_, expected)) = text.rsplit_once(", expected ") {
        return format!("is not {expected}");
    }
    if text.starts_with("unrecognized enum value") {
        return "is no value of its enum".to_owned();
    }
    format!("cannot be read: {text}")
}

/// Refuses what is too deep or has too many values, without looking at what they are. What may be a
/// message counts as [`MESSAGE`] values: so much more memory it takes.
fn measure(body: &[u8], bounds: Bounds) -> Result<(), TranscodeError> {
    let weight = if bounds.has_heavy_values { MESSAGE } else { 1 };
    let (mut depth, mut values) = (0_usize, 1_usize);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_text(&mut bytes),
            b'{' => {
                depth += 1;
                values += MESSAGE;
            }
            b'[' => {
                depth += 1;
                values += weight;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += weight,
            _ => {}
        }
        if depth > bounds.deepest {
            let detail = format!("the body is deeper than {} levels", bounds.deepest);
            return Err(TranscodeError::new(TranscodeErrorKind::Body, detail));
        }
        if values > bounds.most_values {
            let detail = format!("the body has more than {} values", bounds.most_values);
            return Err(TranscodeError::new(TranscodeErrorKind::Body, detail));
        }
    }
    Ok(())
}

/// To the end of a JSON string, escapes included.
fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The values that a message counts as.
const MESSAGE: usize = 16;

/// The JSON of a message.
pub(super) fn write(
    message: &DynamicMessage,
    prints_defaults: bool,
) -> Result<Vec<u8>, TranscodeError> {
    let options = SerializeOptions::new().skip_default_fields(!prints_defaults);
    let mut json = serde_json::Serializer::new(Vec::new());
    let written = message.serialize_with_options(&mut json, &options);
    written.map_err(|error| {
        let kind = message.descriptor();
        let detail = format!("the message `{}` cannot be JSON: {error}", kind.full_name());
        TranscodeError::new(TranscodeErrorKind::Answer, detail)
    })?;
    Ok(json.into_inner())
}

/// The JSON of one field of a message; `null` if it is not there.
pub(super) fn write_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    prints_defaults: bool,
) -> Result<Vec<u8>, TranscodeError> {
    let whole = write(message, prints_defaults || !field.supports_presence())?;
    let members: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(&whole).map_err(|error| {
            TranscodeError::new(
                TranscodeErrorKind::Answer,
                format!("the answer is no object: {error}"),
            )
        })?;
    let member = members
        .get(field.json_name())
        .map_or("null", |json| json.get());
    Ok(member.as_bytes().to_vec())
}
