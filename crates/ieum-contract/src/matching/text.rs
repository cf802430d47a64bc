//! Rules for values that are text by nature: paths, query parameters, headers, plain bodies.

use serde_json::Value;

use super::value::{is_moment, length, matches};
use super::{cut, judge};
use crate::rule::{Rule, RuleList};

/// Whether a text follows all rules of a list.
pub(super) fn follows_all(list: &RuleList, example: &str, actual: &str) -> Vec<String> {
    judge(list, |rule| {
        follows(rule, example, actual).err().into_iter().collect()
    })
}

/// Whether a text follows `rule`; otherwise what is wrong.
pub(super) fn follows(rule: &Rule, example: &str, actual: &str) -> Result<(), String> {
    let wants = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("expected {what}, was `{}`", cut(actual))),
    };
    match rule {
        Rule::Equality | Rule::Values => wants(example == actual, &format!("`{}`", cut(example))),
        Rule::Type | Rule::Length { .. } => Ok(()),
        Rule::Regex(pattern) => matches(pattern, actual),
        Rule::Include(part) => wants(actual.contains(part.as_str()), &format!("`{part}` in it")),
        Rule::Number | Rule::Decimal => wants(actual.parse::<f64>().is_ok(), "a number"),
        Rule::Integer => wants(actual.parse::<u64>().is_ok(), "an integer"),
        Rule::Boolean => wants(matches!(actual, "true" | "false"), "a boolean"),
        Rule::Moment { kind, format } => is_moment(*kind, format, actual),
        Rule::StatusCode(statuses) => wants(
            actual.parse().is_ok_and(|status| statuses.has(status)),
            &statuses.to_string(),
        ),
        Rule::NotEmpty => wants(!actual.is_empty(), "something that is not empty"),
        Rule::Semver => wants(is_semver(actual), "a semantic version"),
        Rule::ContentType(name) => is_of_type(name, actual.as_bytes()),
        Rule::Null | Rule::EachKey(_) | Rule::EachValue(_) | Rule::ArrayContains(_) => {
            Err("this rule is not for text".to_owned())
        }
    }
}

/// Compares the values of a parameter or header under its rules: the bounds of a length hold for the
/// number of values, every other rule for each of them.
pub(super) fn lists_follow(list: &RuleList, example: &[String], actual: &[String]) -> Vec<String> {
    let Some(first) = example.first() else {
        return Vec::new();
    };
    judge(list, |rule| {
        let mut found = Vec::new();
        if let Rule::Length { min, max } = rule {
            found.extend(length(actual.len(), *min, *max).err());
        }
        for (index, value) in actual.iter().enumerate() {
            let example = example.get(index).unwrap_or(first);
            found.extend(follows(rule, example, value).err());
        }
        found
    })
}

/// Whether a text is `MAJOR.MINOR.PATCH` with what may follow (semver.org, version 2.0.0).
pub(super) fn is_semver(text: &str) -> bool {
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (rest, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let mut numbers = core.split('.');
    numbers.by_ref().take(3).filter(|part| number(part)).count() == 3
        && numbers.next().is_none()
        && pre.is_none_or(|pre| {
            pre.split('.')
                .all(|part| word(part) && (!digits(part) || number(part)))
        })
        && build.is_none_or(|build| build.split('.').all(word))
}

/// Whether data look like the media type: JSON must parse, text must be UTF-8, the usual pictures
/// and archives begin as they do. Of other types nothing can be said, and nothing is.
pub(super) fn is_of_type(name: &str, data: &[u8]) -> Result<(), String> {
    let base = name.split(';').next().unwrap_or(name).trim().to_lowercase();
    let starts = SIGNATURES.iter().find(|(known, _)| *known == base);
    let fits = match base.as_str() {
        json if json.ends_with("json") => serde_json::from_slice::<Value>(data).is_ok(),
        text if text.starts_with("text/") => std::str::from_utf8(data).is_ok(),
        _ => starts.is_none_or(|(_, signature)| data.starts_with(signature)),
    };
    match fits {
        true => Ok(()),
        false => Err(format!("expected data of the type {base}")),
    }
}

/// How data of these types begin.
const SIGNATURES: [(&str, &[u8]); 6] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("application/pdf", b"%PDF-"),
    ("application/zip", b"PK"),
    ("application/gzip", b"\x1f\x8b"),
];
