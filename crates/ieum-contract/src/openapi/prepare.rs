//! Schemas of an OpenAPI document, as JSON Schema of the draft 2020-12.
//!
//! Version 3.0 has words of its own (`nullable`, `exclusiveMinimum: true`); fields that are read only
//! are not required in requests. A contract by need requires nothing and allows nothing else.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// What a schema is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A request, whole.
    Request,
    /// A response, whole.
    Response,
    /// The part of a response that a consumer needs.
    Need,
}

/// A schema of the document that stands alone: what it refers to goes along.
pub(super) fn prepare(document: &Value, schema: &Value, usage: Use) -> Value {
    let mut within_all_of = BTreeSet::new();
    if usage == Use::Need {
        collect(document, &mut within_all_of);
    }
    let preparation = Preparation {
        usage,
        within_all_of,
    };
    let mut schemas = Map::new();
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let reference = format!("#/components/schemas/{name}");
        let open = preparation.within_all_of.contains(&reference);
        schemas.insert(name.clone(), preparation.schema(schema, open));
    }
    json!({
        "allOf": [preparation.schema(schema, false)],
        "components": { "schemas": schemas },
    })
}

struct Preparation {
    usage: Use,
    /// The schemas that others are composed of: closing them would close the others.
    within_all_of: BTreeSet<String>,
}

impl Preparation {
    /// `open`: part of a whole that may have more fields.
    fn schema(&self, schema: &Value, open: bool) -> Value {
        let Value::Object(map) = schema else {
            return schema.clone();
        };
        let mut made = Map::new();
        for (key, value) in map {
            let value = match key.as_str() {
                "properties" | "patternProperties" | "$defs" | "definitions" => {
                    self.each(value, false)
                }
                "allOf" => self.list(value, true),
                "oneOf" | "anyOf" | "prefixItems" => self.list(value, open),
                "items" | "additionalProperties" | "not" => self.schema(value, false),
                "required" => match self.required(map, value) {
                    Some(required) => required,
                    None => continue,
                },
                "nullable" | "discriminator" | "xml" | "externalDocs" | "example" => continue,
                _ => value.clone(),
            };
            made.insert(key.clone(), value);
        }
        bounds(&mut made);
        if map.get("nullable") == Some(&Value::Bool(true)) {
            return json!({ "anyOf": [{ "type": "null" }, made] });
        }
        let has_fields = map.contains_key("properties") || map.contains_key("allOf");
        let says_more = map.contains_key("additionalProperties");
        if self.usage == Use::Need && has_fields && !open && !says_more {
            made.insert("unevaluatedProperties".into(), json!(false));
        }
        Value::Object(made)
    }

    fn each(&self, map: &Value, open: bool) -> Value {
        let fields = map.as_object().into_iter().flatten();
        let fields = fields.map(|(name, schema)| (name.clone(), self.schema(schema, open)));
        Value::Object(fields.collect())
    }

    fn list(&self, list: &Value, open: bool) -> Value {
        let items = list.as_array().into_iter().flatten();
        items.map(|schema| self.schema(schema, open)).collect()
    }

    /// The fields that are required in this use.
    fn required(&self, map: &Map<String, Value>, required: &Value) -> Option<Value> {
        let other_way = match self.usage {
            Use::Need => return None,
            Use::Request => "readOnly",
            Use::Response => "writeOnly",
        };
        let kept = required.as_array()?.iter().filter(|name| {
            let name = name.as_str().unwrap_or_default();
            let field = map.get("properties").and_then(|fields| fields.get(name));
            field.is_none_or(|field| field[other_way] != true)
        });
        Some(kept.cloned().collect())
    }
}

/// `exclusiveMinimum: true` of version 3.0 is a number since.
fn bounds(map: &mut Map<String, Value>) {
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match map.get(exclusive) {
            Some(Value::Bool(true)) => {
                if let Some(value) = map.remove(bound) {
                    map.insert(exclusive.into(), value);
                }
            }
            Some(Value::Bool(false)) => {
                map.remove(exclusive);
            }
            _ => {}
        }
    }
}

/// The references within any `allOf`.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "allOf" {
                    let parts = value.as_array().into_iter().flatten();
                    found.extend(parts.filter_map(|part| Some(part["$ref"].as_str()?.to_owned())));
                }
                collect(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// What a value refers to within `document`; itself if it refers to nothing, or in a circle.
pub(super) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut at = value;
    for _ in 0..MOST_STEPS {
        let Some(reference) = at["$ref"].as_str() else {
            return at;
        };
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer));
        match target {
            Some(target) => at = target,
            None => return at,
        }
    }
    value
}

/// How long a chain of references may be.
const MOST_STEPS: usize = 32;
