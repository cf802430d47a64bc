//! Constants as GraphQL writes them, for `defaultValue`.
//!
//! Ours, because the library's printer writes characters beyond the basic plane in a way that no GraphQL
//! reader understands.

use std::fmt::Write;

use graphql_tools::static_graphql::schema::Value;

/// Prints a constant in one line.
pub(super) fn print(value: &Value) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) -> std::fmt::Result {
    match value {
        Value::Variable(name) => write!(out, "${name}"),
        Value::Int(number) => write!(out, "{}", number.as_i64().unwrap_or_default()),
        Value::Float(number) => write!(out, "{number:?}"),
        // The escapes of JSON are a part of those of GraphQL.
        Value::String(text) => write!(out, "{}", serde_json::Value::from(text.as_str())),
        Value::Boolean(flag) => write!(out, "{flag}"),
        Value::Null => out.write_str("null"),
        Value::Enum(name) => out.write_str(name),
        Value::List(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                separate(out, index);
                write(out, element)?;
            }
            out.write_char(']')
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                separate(out, index);
                write!(out, "{name}: ")?;
                write(out, value)?;
            }
            out.write_char('}')
        }
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}
