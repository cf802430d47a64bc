//! A GraphQL request: a document, the operation in it, and the values of its variables.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::{Exceeded, Limit, Limits};
use crate::rejection::{Reason, Rejection};

/// A request as it came: nothing in it was looked at yet.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The document's text.
    pub query: String,
    /// Which of the document's operations; needed if there are several.
    pub operation_name: Option<String>,
    /// The variables: a JSON object as text.
    pub variables: Option<Box<RawValue>>,
    /// The extensions: a JSON object as text. Nothing here reads them.
    pub extensions: Option<Box<RawValue>>,
}

impl Request {
    /// A request without variables.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            ..Self::default()
        }
    }

    /// Reads the body of a `POST` of `application/json`.
    ///
    /// # Errors
    /// If it is not JSON, or a member is missing or of the wrong type; unknown members are ignored, as
    /// the specification of GraphQL over HTTP asks. Several requests in an array are refused.
    pub fn from_json(body: &[u8]) -> Result<Self, Rejection> {
        let malformed = |message: &str| Rejection::new(Reason::Malformed, message);
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(malformed("several requests in one are not supported"));
        }
        let parameters: Parameters<'_> = serde_json::from_slice(body).map_err(|error| {
            malformed(match error.is_data() {
                true => "a parameter of the request is missing or has the wrong type",
                false => "the request's body is not valid JSON",
            })
        })?;
        let object = |value: Option<&RawValue>, name: &str| match value {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) if value.get().starts_with('{') => Ok(Some(value.to_owned())),
            Some(_) => Err(malformed(&format!("`{name}` is not an object"))),
        };
        Ok(Self {
            query: parameters.query,
            operation_name: parameters.operation_name,
            variables: object(parameters.variables, "variables")?,
            extensions: object(parameters.extensions, "extensions")?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    query: String,
    operation_name: Option<String>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
    #[serde(borrow)]
    extensions: Option<&'a RawValue>,
}

/// Counts the values of JSON text and refuses too many before any of them is built.
///
/// The text is known to be valid JSON; a million empty lists in a mebibyte of it would take fifty times
/// as much memory.
pub(crate) fn scan_variables(text: &str, limits: &Limits) -> Result<(), Exceeded> {
    let exceeded = |limit, allowed| Exceeded::new(limit, allowed, None);
    if text.len() > limits.variables_bytes {
        return Err(exceeded(Limit::VariablesBytes, limits.variables_bytes));
    }
    let bytes = text.as_bytes();
    // For each open list or object, how many commas it has had; objects count as `None`.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut values: usize = 1;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'[' | b'{' => {
                open.push((byte == b'[').then_some(1));
                values += 1;
                if open.len() > limits.nesting() {
                    return Err(exceeded(Limit::Nesting, limits.nesting()));
                }
            }
            b']' | b'}' => {
                open.pop();
            }
            b',' => {
                values += 1;
                if let Some(Some(elements)) = open.last_mut() {
                    *elements += 1;
                    if *elements > limits.list_elements {
                        return Err(exceeded(Limit::ListElements, limits.list_elements));
                    }
                }
            }
            _ => {}
        }
        if values > limits.values {
            return Err(exceeded(Limit::Values, limits.values));
        }
        at += 1;
    }
    Ok(())
}

/// The index of a string's closing quote.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_parameters_of_the_specification() {
        let request = Request::from_json(
            br#" {"query":"{a}","operationName":null,"variables":{"a":1},"extensions":null,"x":1}"#,
        )
        .expect("a request");
        assert_eq!(request.query, "{a}");
        assert_eq!(request.operation_name, None);
        assert_eq!(request.variables.expect("variables").get(), r#"{"a":1}"#);
        assert!(request.extensions.is_none());
    }

    #[test]
    fn a_body_of_another_shape_is_refused() {
        for (body, message) in [
            ("", "the request's body is not valid JSON"),
            ("{", "the request's body is not valid JSON"),
            (
                "{\"query\":\"\\ud800\"}",
                "the request's body is not valid JSON",
            ),
            (
                "{\"query\":\"{a}\"} x",
                "the request's body is not valid JSON",
            ),
            (
                "{}",
                "a parameter of the request is missing or has the wrong type",
            ),
            (
                "{\"query\":1}",
                "a parameter of the request is missing or has the wrong type",
            ),
            (
                "{\"query\":\"{a}\",\"operationName\":1}",
                "a parameter of the request is missing or has the wrong type",
            ),
            (
                "{\"query\":\"{a}\",\"variables\":[]}",
                "`variables` is not an object",
            ),
            (
                "{\"query\":\"{a}\",\"extensions\":\"\"}",
                "`extensions` is not an object",
            ),
            (" [{}]", "several requests in one are not supported"),
        ] {
            let rejection = Request::from_json(body.as_bytes()).expect_err(body);
            assert_eq!(rejection.to_string(), message, "{body}");
            assert_eq!(rejection.errors()[0].code(), "BAD_REQUEST");
        }
    }

    #[test]
    fn variables_are_counted_before_they_are_built() {
        let limits = Limits {
            list_elements: 3,
            values: 8,
            variables_bytes: 64,
            ..Limits::default()
        };
        let scan = |text: &str| scan_variables(text, &limits).err().map(|it| it.limit);
        assert_eq!(scan(r#"{"a":[1,2,3],"b":"],[,\",","c":{}}"#), None);
        assert_eq!(scan(r#"{"a":[1,2,3,4]}"#), Some(Limit::ListElements));
        assert_eq!(scan(r#"{"a":{"a":1,"b":2},"b":{"a":1,"b":2,"c":3}}"#), None);
        assert_eq!(
            scan(r#"{"a":{"a":1,"b":2},"b":{"a":1,"b":2},"c":{"a":1,"b":2}}"#),
            Some(Limit::Values)
        );
        assert_eq!(scan(&" ".repeat(65)), Some(Limit::VariablesBytes));
        let deep = Limits::default();
        let text = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let exceeded = scan_variables(&text, &deep).expect_err("too deep");
        assert_eq!(exceeded.limit, Limit::Nesting);
    }
}
