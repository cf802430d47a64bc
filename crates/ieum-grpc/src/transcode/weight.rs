//! How much memory a body becomes.
//!
//! A message of one field takes some 700 bytes while it is translated, a scalar some 50. An object is
//! seen in a body, but with some types a mere `1` is a message too: in free-form JSON
//! (`google.protobuf.Struct`), and in lists and maps of wrappers or times.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::fields;

/// True if a scalar in the JSON of such a message may become a message, any number of times.
pub(super) fn has_heavy_values(kind: &MessageDescriptor) -> bool {
    let mut seen = vec![kind.clone()];
    let mut next = 0;
    while let Some(kind) = seen.get(next).cloned() {
        next += 1;
        if is_free_form(kind.full_name()) || kind.fields().any(|field| is_heavy(&field)) {
            return true;
        }
        for field in kind.fields() {
            if let Kind::Message(inner) = field.kind()
                && !seen.contains(&inner)
            {
                seen.push(inner);
            }
        }
    }
    false
}

fn is_free_form(name: &str) -> bool {
    matches!(
        name,
        "google.protobuf.Struct"
            | "google.protobuf.Value"
            | "google.protobuf.ListValue"
            | "google.protobuf.Any"
    )
}

/// True for many messages that JSON writes as scalars.
fn is_heavy(field: &FieldDescriptor) -> bool {
    let value = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field(),
        _ if field.is_list() => field.clone(),
        _ => return false,
    };
    matches!(value.kind(), Kind::Message(_)) && fields::is_text_like(&value)
}
