//! Fields by their paths, and values by their texts: what paths and queries give.
//!
//! A text becomes a value by the rules of proto3's JSON for the text inside a JSON string, so that a
//! field is spelled alike in a path, a query and a body.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::de::IntoDeserializer;

/// The fields along a path such as `user.address.zip`, by their own names or those of JSON.
///
/// # Errors
/// Says which part is no field, or cannot be entered.
pub(crate) fn resolve(
    message: &MessageDescriptor,
    path: &str,
) -> Result<Vec<FieldDescriptor>, String> {
    let mut inside = Some(message.clone());
    let mut found: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let Some(message) = inside else {
            let before = found.last().map_or("", |field| field.name());
            return Err(format!("`{before}` has no fields"));
        };
        let by_json = message.get_field_by_json_name(name);
        let field = by_json.or_else(|| message.get_field_by_name(name));
        let Some(field) = field else {
            return Err(format!("`{name}` is no field of `{}`", message.full_name()));
        };
        inside = match field.kind() {
            Kind::Message(message) if !field.is_list() && !field.is_map() => Some(message),
            _ => None,
        };
        found.push(field);
    }
    Ok(found)
}

/// True for a field whose value, or each of whose values, is written as one text: scalars, enums, and
/// the well-known messages that JSON writes as a string, a number or a bool.
pub(crate) fn is_text_like(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(_) if field.is_map() => false,
        Kind::Message(message) => is_text_like_message(message.full_name()),
        _ => true,
    }
}

fn is_text_like_message(name: &str) -> bool {
    matches!(
        name,
        "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue"
    )
}

/// Sets the field at the end of `path`, or appends to it if it is repeated.
///
/// # Errors
/// What was expected instead of the text; never the text itself, which may be a secret.
pub(crate) fn set(
    message: &mut DynamicMessage,
    path: &[FieldDescriptor],
    text: &str,
) -> Result<(), String> {
    let Some((field, deeper)) = path.split_first() else {
        return Ok(());
    };
    if let Some(other) = excluded_by(message, field) {
        return Err(format!("cannot go together with `{other}`"));
    }
    if !deeper.is_empty() {
        return match message.get_field_mut(field) {
            Value::Message(inner) => set(inner, deeper, text),
            _ => Err("has no fields".to_owned()),
        };
    }
    let value = value(&field.kind(), text)?;
    match message.get_field_mut(field) {
        Value::List(values) => values.push(value),
        place => *place = value,
    }
    Ok(())
}

/// The other member of the field's oneof that is set already.
fn excluded_by(message: &DynamicMessage, field: &FieldDescriptor) -> Option<String> {
    let mut others = field
        .containing_oneof()?
        .fields()
        .collect::<Vec<_>>()
        .into_iter();
    let other = others.find(|other| other != field && message.has_field(other))?;
    Some(other.json_name().to_owned())
}

fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    let expected = |what: &str| format!("is not {what}");
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => bool(text).map(Value::Bool),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            let number = text.parse().map(Value::I32);
            number.map_err(|_| expected("a whole number of 32 bits"))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            let number = text.parse().map(Value::I64);
            number.map_err(|_| expected("a whole number of 64 bits"))
        }
        Kind::Uint32 | Kind::Fixed32 => {
            let number = text.parse().map(Value::U32);
            number.map_err(|_| expected("a whole number of 32 bits that is not negative"))
        }
        Kind::Uint64 | Kind::Fixed64 => {
            let number = text.parse().map(Value::U64);
            number.map_err(|_| expected("a whole number of 64 bits that is not negative"))
        }
        Kind::Double => double(text).map(Value::F64),
        Kind::Float => float(text).map(Value::F32),
        Kind::Bytes => bytes(text).map(|bytes| Value::Bytes(bytes.into())),
        Kind::Enum(kind) => match (kind.get_value_by_name(text), text.parse()) {
            (Some(value), _) => Ok(Value::EnumNumber(value.number())),
            (None, Ok(number)) => Ok(Value::EnumNumber(number)),
            _ => Err(format!("is no value of `{}`", kind.full_name())),
        },
        Kind::Message(message) => well_known(message, text).map(Value::Message),
    }
}

fn well_known(message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, String> {
    let name = message.full_name();
    if !is_text_like_message(name) {
        return Err(format!("is a message, `{name}`, and not one value"));
    }
    if name == "google.protobuf.BoolValue" {
        let mut wrapper = DynamicMessage::new(message.clone());
        wrapper.set_field_by_number(1, Value::Bool(bool(text)?));
        return Ok(wrapper);
    }
    let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        text.into_deserializer();
    let read = DynamicMessage::deserialize(message.clone(), text);
    read.map_err(|_| format!("is no `{name}` as JSON writes it"))
}

fn bool(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "is neither `true` nor `false`".to_owned())
}

fn double(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => {
            let number = text.parse().ok().filter(|n: &f64| n.is_finite());
            number.ok_or_else(|| "is no number".to_owned())
        }
    }
}

fn float(text: &str) -> Result<f32, String> {
    let wide = double(text)?;
    let in_range = !wide.is_finite() || wide.abs() <= f64::from(f32::MAX);
    // `as` rounds to the nearest.
    let number = in_range.then_some(wide as f32);
    number.ok_or_else(|| "is out of range".to_owned())
}

/// Base64 in either alphabet, padded or not, as proto3's JSON takes it.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let engine = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    let decoded = engine.decode(text);
    decoded.map_err(|_| "is not base64".to_owned())
}

const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
