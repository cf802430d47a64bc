//! JSON Schema: whether a value is what a schema says, with the paths that contracts use.
//!
//! References stay within the document: nothing is fetched from anywhere.

use std::fmt;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::error::{Result, invalid};
use crate::matching::{Mismatch, cut};
use crate::path::Path;

/// A schema, read and ready.
pub struct Schema(Validator);

impl Schema {
    /// Reads a schema of any draft; 2020-12 if it does not say which. Formats are checked.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] if it is no schema, or refers to what is not in it.
    pub fn new(schema: &Value) -> Result<Self> {
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options
            .build(schema)
            .map_err(|error| invalid(format!("no JSON Schema: {error}")))?;
        Ok(Self(validator))
    }

    /// What of a value differs from the schema. The paths begin with `root`, such as `$.body`.
    pub fn check(&self, value: &Value, root: &str) -> Vec<Mismatch> {
        let mut found = Vec::new();
        for error in self.0.iter_errors(value).take(MOST_MISMATCHES) {
            let place = place(value, error.instance_path().as_str());
            let at = |place: &Path| format!("{root}{}", &place.to_string()[1..]);
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    let name = property.as_str().unwrap_or_default();
                    let text = "is required, but it is missing";
                    found.push(Mismatch::new(at(&place.field(name)), text));
                }
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                    let each = unexpected.iter();
                    found.extend(
                        each.map(|name| {
                            Mismatch::new(at(&place.field(name)), "is not in the schema")
                        }),
                    );
                }
                _ => found.push(Mismatch::new(at(&place), cut(&error.to_string()))),
            }
        }
        found
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

/// The most mismatches that one check tells.
const MOST_MISMATCHES: usize = 100;

/// The path of a JSON pointer (RFC 6901) into `value`.
fn place(value: &Value, pointer: &str) -> Path {
    let mut place = Path::root();
    let mut at = Some(value);
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        place = match (at, token.parse::<usize>()) {
            (Some(Value::Array(_)), Ok(index)) => place.index(index),
            _ => place.field(&token),
        };
        at = at.and_then(|value| match value {
            Value::Array(list) => list.get(token.parse::<usize>().ok()?),
            value => value.get(&token),
        });
    }
    place
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value) -> Vec<String> {
        let found = Schema::new(schema)
            .expect("a schema")
            .check(value, "$.body");
        found.iter().map(ToString::to_string).collect()
    }

    /// The contract of a provider of users: what every consumer may rely on.
    fn user() -> Value {
        let text = json!({ "type": "string", "minLength": 1 });
        json!({
            "type": "object", "required": ["id", "email", "name", "createdAt"],
            "properties": { "id": text, "name": text,
                "email": { "type": "string", "format": "email" },
                "createdAt": { "type": "string", "format": "date-time" } }
        })
    }

    #[test]
    fn a_user_has_what_was_promised() {
        let kim = json!({ "id": "u1", "email": "kim@example.com", "name": "Kim",
                          "createdAt": "2026-11-21T16:30:00Z", "more": 1 });
        assert_eq!(check(&user(), &kim), [""; 0]);
        let renamed = json!({ "id": "u1", "email": "kim", "fullName": "Kim",
                              "createdAt": "yesterday" });
        let found = check(&user(), &renamed).join("\n");
        for part in [
            "$.body.name: is required",
            "$.body.email: ",
            "$.body.createdAt: ",
        ] {
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn places_in_lists_are_named() {
        let schema =
            json!({ "type": "array", "items": { "properties": { "n": { "type": "integer" } } } });
        let found = check(&schema, &json!([{ "n": 1 }, { "n": "x" }]));
        assert!(found[0].starts_with("$.body[1].n: "), "{found:?}");
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["http://127.0.0.1:1/schema.json", "file:///etc/hostname"] {
            assert!(Schema::new(&json!({ "$ref": reference })).is_err());
        }
    }
}
