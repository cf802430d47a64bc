//! Values of an example that may differ, as JSON: `json!({ "id": like("kim"), "price": integer(5) })`.
//!
//! Each is an object with `pact:matcher:type`, which [`super::Recording`] takes apart into an example
//! and rules; the form is that of the Pact foundation's libraries for other languages.

use serde_json::{Value, json};

/// Any value of the example's type; also for everything in it.
pub fn like(example: impl Into<Value>) -> Value {
    matcher("type", example.into())
}

/// Exactly this value, also within [`like`].
pub fn equal(example: impl Into<Value>) -> Value {
    matcher("equality", example.into())
}

/// Text that the pattern matches as a whole.
pub fn term(pattern: &str, example: impl Into<Value>) -> Value {
    with(matcher("regex", example.into()), "regex", json!(pattern))
}

/// Text with this part in it.
pub fn includes(part: &str, example: &str) -> Value {
    json!({ MATCHER: "include", "value": part, "example": example })
}

/// A whole number.
pub fn integer(example: i64) -> Value {
    matcher("integer", json!(example))
}

/// A number with a fraction.
pub fn decimal(example: f64) -> Value {
    matcher("decimal", json!(example))
}

/// Any number.
pub fn number(example: f64) -> Value {
    matcher("number", json!(example))
}

/// `true` or `false`.
pub fn boolean(example: bool) -> Value {
    matcher("boolean", json!(example))
}

/// `null`.
pub fn null() -> Value {
    matcher("null", Value::Null)
}

/// A date, in a format like `yyyy-MM-dd`.
pub fn date(format: &str, example: &str) -> Value {
    with(matcher("date", json!(example)), "format", json!(format))
}

/// A time of day, in a format like `HH:mm:ss`.
pub fn time(format: &str, example: &str) -> Value {
    with(matcher("time", json!(example)), "format", json!(format))
}

/// A date and time, in a format like `yyyy-MM-dd'T'HH:mm:ssXXX`.
pub fn datetime(format: &str, example: &str) -> Value {
    with(matcher("datetime", json!(example)), "format", json!(format))
}

/// A moment in RFC 3339, with or without a fraction of a second.
pub fn rfc3339(example: &str) -> Value {
    let pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$";
    term(pattern, example)
}

/// A UUID, with hyphens.
pub fn uuid(example: &str) -> Value {
    let pattern = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";
    term(pattern, example)
}

/// Something that is neither null nor without content.
pub fn not_empty(example: impl Into<Value>) -> Value {
    matcher("notEmpty", example.into())
}

/// A semantic version.
pub fn semver(example: &str) -> Value {
    matcher("semver", json!(example))
}

/// A list of at least one item, each like the template.
pub fn each_like(template: impl Into<Value>) -> Value {
    each_like_between(template, Some(1), None)
}

/// A list whose length is between the bounds, each item like the template.
pub fn each_like_between(
    template: impl Into<Value>,
    min: Option<usize>,
    max: Option<usize>,
) -> Value {
    let count = min.unwrap_or(1).max(1);
    let items = vec![template.into(); count];
    let mut value = matcher("type", json!(items));
    for (key, bound) in [("min", min), ("max", max)] {
        if let Some(bound) = bound {
            value = with(value, key, json!(bound));
        }
    }
    value
}

/// A list that has, among others and in any order, an item like each of these.
pub fn array_containing(variants: &[Value]) -> Value {
    json!({ MATCHER: "arrayContains", "variants": variants })
}

/// An object, each key of which follows `key` and each value of which follows `value`: both are made
/// by functions of this module, and their examples are the object's one entry.
pub fn map_of(key: &Value, value: &Value) -> Value {
    json!({ MATCHER: "ieum:map", "key": key, "value": value })
}

/// A value that the provider's state decides when it is verified: in `expression`, `${id}` is what
/// the set-up of the state answered under `id`. For requests. `value` is a matcher or the example.
pub fn from_state(expression: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    let ruled = match value.get(MATCHER) {
        Some(_) => value,
        None => equal(value),
    };
    with(
        with(ruled, GENERATOR, "ProviderState"),
        "expression",
        expression,
    )
}

/// The member that tells a matcher from a value.
pub(super) const MATCHER: &str = "pact:matcher:type";
/// The member that names a generator.
pub(super) const GENERATOR: &str = "pact:generator:type";

fn matcher(name: &str, example: impl Into<Value>) -> Value {
    json!({ MATCHER: name, "value": example.into() })
}

fn with(mut matcher: Value, key: &str, value: impl Into<Value>) -> Value {
    matcher[key] = value.into();
    matcher
}
