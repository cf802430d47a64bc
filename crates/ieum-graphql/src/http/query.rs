//! A request in a query string: `?query=…&operationName=…&variables=…`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use crate::rejection::{Reason, Rejection};
use crate::request::Request;

/// Reads the parameters; others are ignored.
pub(super) fn read(text: &str) -> Result<Request, Rejection> {
    let mut query = None;
    let mut request = Request::default();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "query" => once(&mut query, decode(value)?, name)?,
            "operationName" => once(&mut request.operation_name, decode(value)?, name)?,
            "variables" => json(&mut request.variables, &decode(value)?, name)?,
            "extensions" => json(&mut request.extensions, &decode(value)?, name)?,
            _ => {}
        }
    }
    request.query = query.ok_or_else(|| malformed("the parameter `query` is missing"))?;
    Ok(request)
}

fn json(slot: &mut Option<Box<RawValue>>, text: &str, name: &str) -> Result<(), Rejection> {
    let wrong = || malformed(&format!("`{name}` is not a JSON object"));
    let value: Box<RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
    match value.get() {
        "null" => Ok(()),
        object if object.starts_with('{') => once(slot, value, name),
        _ => Err(wrong()),
    }
}

fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), Rejection> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed(&format!("`{name}` is given twice"))),
    }
}

/// Decodes a value of a form: `+` is a space.
fn decode(value: &str) -> Result<String, Rejection> {
    let spaced: Cow<'_, str> = match value.contains('+') {
        true => value.replace('+', " ").into(),
        false => value.into(),
    };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| malformed("a parameter is not UTF-8"))?;
    Ok(decoded.into_owned())
}

fn malformed(message: &str) -> Rejection {
    Rejection::new(Reason::Malformed, message)
}
