//! One rule and one JSON value.

use fancy_regex::Regex;
use serde_json::Value;

use super::{shown, text};
use crate::moment::Format;
use crate::rule::{Moment, Rule};

/// Whether `actual` follows `rule`; otherwise what is wrong. The example matters to rules about
/// equality and type. A rule that came down from a place above does not judge lengths.
pub(super) fn follows(
    rule: &Rule,
    example: &Value,
    actual: &Value,
    cascaded: bool,
) -> Result<(), String> {
    let wants = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("expected {what}, was {}", shown(actual))),
    };
    match rule {
        Rule::Equality | Rule::Values => wants(example == actual, &shown(example)),
        Rule::Type => same_type(example, actual),
        Rule::Length { min, max } => {
            same_type(example, actual)?;
            match actual {
                Value::Array(list) if !cascaded => length(list.len(), *min, *max),
                _ => Ok(()),
            }
        }
        Rule::Integer => wants(actual.is_i64() || actual.is_u64(), "an integer"),
        Rule::Decimal => wants(actual.is_f64(), "a decimal number"),
        Rule::Number => wants(actual.is_number(), "a number"),
        Rule::Boolean => {
            let word = matches!(actual.as_str(), Some("true" | "false"));
            wants(actual.is_boolean() || word, "a boolean")
        }
        Rule::Null => wants(actual.is_null(), "null"),
        Rule::NotEmpty => wants(!is_empty(actual), "something that is not empty"),
        Rule::Semver => wants(
            actual.as_str().is_some_and(text::is_semver),
            "a semantic version",
        ),
        Rule::Regex(pattern) => matches(pattern, &text_of(actual)),
        Rule::Include(part) => wants(
            text_of(actual).contains(part.as_str()),
            &format!("something with `{part}` in it"),
        ),
        Rule::Moment { kind, format } => is_moment(*kind, format, &text_of(actual)),
        Rule::ContentType(name) => text::is_of_type(name, text_of(actual).as_bytes()),
        // They are about a collection; its children are judged by equality of nothing.
        Rule::EachKey(_) | Rule::EachValue(_) | Rule::ArrayContains(_) | Rule::StatusCode(_) => {
            Ok(())
        }
    }
}

/// Whether two values have the same JSON type.
pub(super) fn same_type(example: &Value, actual: &Value) -> Result<(), String> {
    if type_of(example) == type_of(actual) {
        return Ok(());
    }
    let (wanted, came) = (type_of(example), type_of(actual));
    Err(format!("expected {wanted}, was {came}: {}", shown(actual)))
}

/// A type's name with its article.
pub(crate) const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether a collection's length is within the bounds.
pub(super) fn length(len: usize, min: Option<usize>, max: Option<usize>) -> Result<(), String> {
    match (min, max) {
        (Some(min), _) if len < min => Err(format!("expected at least {min} items, was {len}")),
        (_, Some(max)) if len > max => Err(format!("expected at most {max} items, was {len}")),
        _ => Ok(()),
    }
}

/// Whether the pattern matches the whole text, within a bounded number of steps. That a part is not
/// enough stands only in the specification's test cases; the libraries do it.
pub(super) fn matches(pattern: &str, text: &str) -> Result<(), String> {
    let regex = Regex::new(&format!(r"\A(?:{pattern})\z"))
        .map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
    match regex.is_match(text) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "expected something that matches `{pattern}`, was {}",
            shown(&Value::from(text))
        )),
        Err(error) => Err(format!("`{pattern}` gave up: {error}")),
    }
}

/// Whether the text is a moment in the format.
pub(super) fn is_moment(kind: Moment, format: &str, text: &str) -> Result<(), String> {
    let format = match format {
        "" => kind.default_format(),
        format => format,
    };
    let parsed = Format::parse(format).map_err(|error| error.to_string())?;
    match parsed.fits(text) {
        true => Ok(()),
        false => Err(format!(
            "expected a {} like `{format}`, was {}",
            kind.name(),
            shown(&Value::from(text))
        )),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A string's text without quotes; anything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
