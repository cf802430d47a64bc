//! Bodies: compared by the media type of the example.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::http::match_parameters;
use super::{Context, Mismatch, cut, json, text};
use crate::model::{Body, MediaType};
use crate::path::Path;
use crate::rule::Rule;

/// Compares bodies. The media types are those of the parts that the bodies belong to; `None` if
/// neither a header nor the text says one. `type_has_rule`: a rule for the header accepts the
/// difference of types.
pub(super) fn compare(
    context: Context<'_>,
    example: (&Body, Option<&MediaType>),
    actual: (&Body, Option<&MediaType>),
    type_has_rule: bool,
) -> Vec<Mismatch> {
    let ((body, wanted), (came, of)) = (example, actual);
    if !type_has_rule
        && let (Some(wanted), Some(of)) = (wanted, of)
        && !wanted.accepts(of)
    {
        return match body {
            Body::Present { .. } => {
                let text = format!("expected a body of the type {wanted}, was {of}");
                vec![Mismatch::new(context.root, text)]
            }
            _ => Vec::new(),
        };
    }
    match (body, came) {
        (Body::Missing, _)
        | (Body::Empty | Body::Null, Body::Missing | Body::Empty | Body::Null) => Vec::new(),
        (Body::Empty | Body::Null, Body::Present { bytes, .. }) => {
            let text = format!(
                "expected no body, was `{}`",
                cut(&String::from_utf8_lossy(bytes))
            );
            vec![Mismatch::new(context.root, text)]
        }
        (Body::Present { .. }, Body::Missing | Body::Empty | Body::Null) => {
            vec![Mismatch::new(
                context.root,
                "expected a body, but there is none",
            )]
        }
        (Body::Present { bytes, .. }, Body::Present { bytes: came, .. }) => {
            contents(context, wanted, bytes, came)
        }
    }
}

fn contents(
    context: Context<'_>,
    wanted: Option<&MediaType>,
    example: &[u8],
    actual: &[u8],
) -> Vec<Mismatch> {
    match wanted {
        Some(media) if media.is_json() => json_contents(context, example, actual),
        Some(media) if media.is("application", "x-www-form-urlencoded") => {
            match_parameters(context, &form(example), &form(actual))
        }
        // Better to refuse than to judge rules by half.
        Some(media) if media.is_xml() && !context.rules.is_empty() => {
            let text = "matching rules for XML are not known to this version";
            vec![Mismatch::new(context.root, text)]
        }
        _ => plain(context, example, actual),
    }
}

fn json_contents(context: Context<'_>, example: &[u8], actual: &[u8]) -> Vec<Mismatch> {
    let read = |what: &str, text: &[u8]| {
        serde_json::from_slice::<Value>(text)
            .map_err(|error| Mismatch::new(context.root, format!("the {what} is no JSON: {error}")))
    };
    match (read("example", example), read("body", actual)) {
        (Ok(example), Ok(actual)) => json::compare(context, &Path::root(), &example, &actual),
        (example, actual) => example.err().into_iter().chain(actual.err()).collect(),
    }
}

/// Text, and whatever is not known: the same bytes, or the rule of the whole.
fn plain(context: Context<'_>, example: &[u8], actual: &[u8]) -> Vec<Mismatch> {
    let place = Path::root();
    if let Some(best) = context.rules.best(&place) {
        let of_type = best.list.rules.iter().find_map(|rule| match rule {
            Rule::ContentType(name) => Some(name),
            _ => None,
        });
        let wrong = match of_type {
            Some(name) => text::is_of_type(name, actual).err().into_iter().collect(),
            None => {
                let of = |bytes| String::from_utf8_lossy(bytes);
                text::follows_all(best.list, &of(example), &of(actual))
            }
        };
        return wrong
            .into_iter()
            .map(|text| context.mismatch(&place, text))
            .collect();
    }
    if example == actual {
        return Vec::new();
    }
    let shown = |bytes| cut(&String::from_utf8_lossy(bytes));
    let text = format!("expected `{}`, was `{}`", shown(example), shown(actual));
    vec![Mismatch::new(context.root, text)]
}

/// The fields of a form, each with its values in order.
fn form(body: &[u8]) -> BTreeMap<String, Vec<String>> {
    parameters(&String::from_utf8_lossy(body))
}

/// The parameters of a query or form, each with its values in order.
pub(crate) fn parameters(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        found.entry(decoded(name)).or_default().push(decoded(value));
    }
    found
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
