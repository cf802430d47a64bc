//! Query parameters: fields that neither the path nor the body gives.

use percent_encoding::percent_decode;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage};

use super::error::{TranscodeError, TranscodeErrorKind};
use crate::fields;

/// What queries may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) most: usize,
    pub(super) ignores_unknown: bool,
}

/// Sets the fields that a query names: `user.id=7&tag=a&tag=b`.
///
/// `taken` are the paths of fields that come from elsewhere.
pub(super) fn read(
    message: &mut DynamicMessage,
    query: &str,
    taken: &[&[FieldDescriptor]],
    bounds: Bounds,
) -> Result<(), TranscodeError> {
    let mut seen: Vec<Vec<FieldDescriptor>> = Vec::new();
    for (index, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if index == bounds.most {
            let detail = format!("the query has more than {} parameters", bounds.most);
            return Err(TranscodeError::new(TranscodeErrorKind::Query, detail));
        }
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| wrong("?", "has a name that is not UTF-8"))?;
        let text = decode(text).ok_or_else(|| wrong(&name, "is not UTF-8"))?;
        let path = match fields::resolve(&message.descriptor(), &name) {
            Ok(path) => path,
            Err(_) if bounds.ignores_unknown => continue,
            Err(why) => return Err(wrong(&name, &format!("is not known: {why}"))),
        };
        check(&path, taken, &mut seen).map_err(|why| wrong(&name, why))?;
        fields::set(message, &path, &text).map_err(|why| wrong(&name, &why))?;
    }
    Ok(())
}

fn check(
    path: &[FieldDescriptor],
    taken: &[&[FieldDescriptor]],
    seen: &mut Vec<Vec<FieldDescriptor>>,
) -> Result<(), &'static str> {
    if taken
        .iter()
        .any(|other| path.starts_with(other) || other.starts_with(path))
    {
        return Err("is given by the path or the body");
    }
    match path.last() {
        Some(leaf) if !fields::is_text_like(leaf) => {
            Err("is a message or a map, and not one value")
        }
        Some(leaf) if leaf.is_list() => Ok(()),
        _ if seen.iter().any(|other| other == path) => Err("is there twice and has one value"),
        _ => {
            seen.push(path.to_vec());
            Ok(())
        }
    }
}

fn wrong(name: &str, why: &str) -> TranscodeError {
    let detail = format!("the parameter `{name}` {why}");
    TranscodeError::new(TranscodeErrorKind::Query, detail).of_field(name)
}

/// `application/x-www-form-urlencoded`, as every client writes queries.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
