//! Requests and responses.

use std::collections::BTreeMap;

use super::{Context, Mismatch, body, cut, text};
use crate::model::{Headers, Request, Response};
use crate::rules::Category;

/// Compares a request that came with the one that was expected. Parameters and fields that are not
/// expected are mismatches; headers are not, since every client adds its own.
pub fn match_request(expected: &Request, actual: &Request) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if !expected.method.eq_ignore_ascii_case(&actual.method) {
        let text = format!("expected {}, was {}", expected.method, actual.method);
        found.push(Mismatch::new("$.method", text));
    }
    found.extend(path(expected, actual));
    let rules = &expected.rules;
    found.extend(match_parameters(
        context(&rules.query, "$.query", true),
        &expected.query,
        &actual.query,
    ));
    found.extend(headers(&rules.header, &expected.headers, &actual.headers));
    found.extend(body::compare(
        context(&rules.body, "$.body", true),
        (&expected.body, expected.media_type().as_ref()),
        (&actual.body, actual.media_type().as_ref()),
        type_is_ruled(&rules.header, &expected.headers, &actual.headers),
    ));
    found
}

/// Compares a response that came with the one that was expected. It may have more headers and fields.
pub fn match_response(expected: &Response, actual: &Response) -> Vec<Mismatch> {
    let rules = &expected.rules;
    let mut found = status(expected, actual.status);
    found.extend(headers(&rules.header, &expected.headers, &actual.headers));
    found.extend(body::compare(
        context(&rules.body, "$.body", false),
        (&expected.body, expected.media_type().as_ref()),
        (&actual.body, actual.media_type().as_ref()),
        type_is_ruled(&rules.header, &expected.headers, &actual.headers),
    ));
    found
}

const fn context<'a>(rules: &'a Category, root: &'a str, strict: bool) -> Context<'a> {
    Context {
        rules,
        strict,
        root,
    }
}

fn status(expected: &Response, actual: u16) -> Vec<Mismatch> {
    let wrong = match expected.rules.status.only() {
        Some(list) => text::follows_all(list, &expected.status.to_string(), &actual.to_string()),
        None if expected.status == actual => Vec::new(),
        None => vec![format!("expected {}, was {actual}", expected.status)],
    };
    wrong
        .into_iter()
        .map(|text| Mismatch::new("$.status", text))
        .collect()
}

fn path(expected: &Request, actual: &Request) -> Vec<Mismatch> {
    let wrong = match expected.rules.path.only() {
        Some(list) => text::follows_all(list, &expected.path, &actual.path),
        None if expected.path == actual.path => Vec::new(),
        None => vec![format!(
            "expected `{}`, was `{}`",
            expected.path,
            cut(&actual.path)
        )],
    };
    wrong
        .into_iter()
        .map(|text| Mismatch::new("$.path", text))
        .collect()
}

/// Compares the parameters of a query or form, where order counts within a name only.
pub(super) fn match_parameters(
    context: Context<'_>,
    expected: &BTreeMap<String, Vec<String>>,
    actual: &BTreeMap<String, Vec<String>>,
) -> Vec<Mismatch> {
    let at = |name: &str, text: String| Mismatch::new(format!("{}.{name}", context.root), text);
    let mut found = Vec::new();
    for (name, values) in expected {
        let Some(came) = actual.get(name) else {
            found.push(at(
                name,
                format!("expected `{}`, but it is missing", values.join(", ")),
            ));
            continue;
        };
        let rule = context.rules.of_name(name, |rule, name| rule == name);
        let wrong = match rule {
            Some(list) => text::lists_follow(list, values, came),
            None if values == came => Vec::new(),
            None => vec![format!(
                "expected `{}`, was `{}`",
                values.join(", "),
                cut(&came.join(", "))
            )],
        };
        found.extend(wrong.into_iter().map(|text| at(name, text)));
    }
    let more = actual.keys().filter(|name| !expected.contains_key(*name));
    found.extend(more.map(|name| at(name, "is not expected".to_owned())));
    found
}

fn headers(rules: &Category, expected: &Headers, actual: &Headers) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for (name, values) in expected.iter() {
        let at = |text: String| Mismatch::new(format!("$.headers.{}", name.to_lowercase()), text);
        let Some(came) = actual.get(name) else {
            found.push(at(format!(
                "expected `{}`, but it is missing",
                values.join(", ")
            )));
            continue;
        };
        found.extend(header(rules, name, values, came).into_iter().map(at));
    }
    found
}

fn header(rules: &Category, name: &str, values: &[String], came: &[String]) -> Vec<String> {
    if let Some(list) = rules.of_name(&name.to_lowercase(), |rule, name| rule == name) {
        return match (values, came) {
            // One value is no list: bounds of a length say nothing about it.
            ([value], [came]) => text::follows_all(list, value, came),
            _ => text::lists_follow(list, values, came),
        };
    }
    if values.len() != came.len() {
        return vec![format!(
            "expected `{}`, was `{}`",
            values.join(", "),
            cut(&came.join(", "))
        )];
    }
    let has_parameters = ["accept", "content-type"].contains(&name.to_lowercase().as_str());
    let same = |wanted: &str, came: &str| match has_parameters {
        true => same_with_parameters(wanted, came),
        false => without_spaces(wanted) == without_spaces(came),
    };
    let pairs = values
        .iter()
        .zip(came)
        .filter(|(wanted, came)| !same(wanted, came));
    pairs
        .map(|(wanted, came)| format!("expected `{wanted}`, was `{}`", cut(came)))
        .collect()
}

/// `text/plain;charset=UTF-8` and `text/plain; charset=utf-8; q=1` are the same for who expects the
/// first: what came may have more parameters.
fn same_with_parameters(wanted: &str, came: &str) -> bool {
    let parts = |value: &str| -> Vec<String> {
        let parts = value.split(';').map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let (wanted, came) = (parts(wanted), parts(came));
    let parameter = |part: &String| -> Option<(String, String)> {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_lowercase()))
    };
    let given: Vec<_> = came.iter().skip(1).filter_map(parameter).collect();
    wanted.first() == came.first()
        && wanted
            .iter()
            .skip(1)
            .filter_map(parameter)
            .all(|wanted| given.contains(&wanted))
}

/// Spaces around commas are free (RFC 9110, section 5.6.1).
fn without_spaces(value: &str) -> String {
    let parts: Vec<&str> = value.split(',').map(str::trim).collect();
    parts.join(",")
}

/// Whether a rule for `content-type` accepts the type that came.
fn type_is_ruled(rules: &Category, expected: &Headers, actual: &Headers) -> bool {
    let (Some(values), Some(came)) = (expected.get("content-type"), actual.get("content-type"))
    else {
        return false;
    };
    let rule = rules.of_name("content-type", |rule, name| rule == name);
    rule.is_some_and(|list| text::lists_follow(list, values, came).is_empty())
}
