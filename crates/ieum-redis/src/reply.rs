//! What the scripts of the broker answer, as results of the ports.

use ieum_messaging::{Error, ErrorKind, Result};
use redis::Value;

/// The text of a reply, or of its part.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// The parts of a reply that is a list; the reply alone if it is none.
pub(crate) fn parts(value: &Value) -> &[Value] {
    match value {
        Value::Array(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// What a script of a worker refused, and the rest of what it answered.
pub(crate) fn of_worker<'a>(value: &'a Value, doing: &str) -> Result<&'a [Value]> {
    let refuse = |kind| Err(Error::new(kind, doing));
    let (first, rest) = parts(value).split_first().unzip();
    match first.and_then(text) {
        Some("done" | "found" | "worker") => Ok(rest.unwrap_or_default()),
        Some("superseded") => refuse(ErrorKind::Superseded),
        Some("busy") => refuse(ErrorKind::Busy),
        Some("full") => refuse(ErrorKind::Full),
        Some("beyond") => {
            let why = format!("{doing}: the position lies beyond the topic's end");
            Err(Error::new(ErrorKind::Invalid, why))
        }
        _ => Err(strange(doing, value)),
    }
}

/// An answer that none of our scripts gives.
pub(crate) fn strange(doing: &str, value: &Value) -> Error {
    let why = format!("{doing}: an answer that makes no sense: {value:?}");
    Error::new(ErrorKind::Internal, why)
}
