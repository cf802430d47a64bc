//! Single values as Go writes them.

use std::time::Duration;

use ieum_base::HumanDuration;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A duration as Go's `time.ParseDuration` reads it, without the negative ones.
pub(in crate::consul) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    // Go also writes the micro sign as the Greek letter, and leaves out the zero of ".5s".
    let text = text.replace('\u{3bc}', "\u{b5}");
    let text = match text.strip_prefix('.') {
        Some(_) => format!("0{text}"),
        None => text,
    };
    text.parse::<HumanDuration>().map(Duration::from).ok()
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(in crate::consul) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration in a body: text, or a number of nanoseconds; `None` if it is absent, empty or zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let invalid = || {
            let shown: String = value.to_string().chars().take(100).collect();
            serde::de::Error::custom(format!("time: invalid duration {shown}"))
        };
        let duration = match &value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(duration(text).ok_or_else(invalid)?),
            Value::Number(nanos) => {
                let nanos = nanos.as_u64().ok_or_else(invalid)?;
                Some(Duration::from_nanos(nanos))
            }
            _ => return Err(invalid()),
        };
        Ok(Self(duration.filter(|time| !time.is_zero())))
    }
}

/// Writes the names of an object's fields in lower case and without underscores.
pub(super) fn fold_names(value: &mut Value) {
    if let Value::Object(fields) = value {
        let folded = std::mem::take(fields).into_iter().map(|(name, value)| {
            let name = name.replace('_', "").to_ascii_lowercase();
            (name, value)
        });
        *fields = folded.filter(|(_, value)| !value.is_null()).collect();
    }
}

/// True for what Go takes for "not set": `null`, `false`, 0, and what is empty.
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
