//! Two versions of a schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Changes;
use crate::matching::shown;
use crate::path::{Path, Token};

/// Who relies on a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relies {
    /// Who reads such values: fewer fields or other types break it.
    Reader,
    /// Who writes such values: more demands break it.
    Writer,
    /// Either.
    Both,
}

impl Relies {
    fn reads(self) -> bool {
        self != Self::Writer
    }

    fn writes(self) -> bool {
        self != Self::Reader
    }
}

/// Compares two documents that are schemas.
pub(super) fn compare(old: &Value, new: &Value) -> Changes {
    let mut changes = Changes::default();
    let mut walk = Walk::new((old, new), Relies::Both, String::new(), "$", &mut changes);
    walk.schemas(&Path::root(), old, new);
    changes
}

/// A walk over two versions of a schema at once.
pub(super) struct Walk<'a> {
    documents: (&'a Value, &'a Value),
    relies: Relies,
    /// What stands before each place: the operation.
    before: String,
    /// What places begin with instead of `$`.
    root: &'a str,
    changes: &'a mut Changes,
    /// The references that are being compared, so that a circle ends.
    open: Vec<(String, String)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        documents: (&'a Value, &'a Value),
        relies: Relies,
        before: String,
        root: &'a str,
        changes: &'a mut Changes,
    ) -> Self {
        Self {
            documents,
            relies,
            before,
            root,
            changes,
            open: Vec::new(),
        }
    }

    fn put(&mut self, breaking: bool, place: &Path, text: impl Into<String>) {
        let place = format!("{}{}{}", self.before, self.root, &place.to_string()[1..]);
        self.changes.put(breaking, place, text);
    }

    pub(super) fn schemas(&mut self, place: &Path, old: &Value, new: &Value) {
        let name = |schema: &Value| schema["$ref"].as_str().unwrap_or_default().to_owned();
        let pair = (name(old), name(new));
        let refers = !pair.0.is_empty() || !pair.1.is_empty();
        if self.open.len() >= MOST_DEPTH || (refers && self.open.contains(&pair)) {
            return;
        }
        self.open.push(pair);
        let old = merged(self.documents.0, old);
        let new = merged(self.documents.1, new);
        self.types(place, &old, &new);
        self.enums(place, &old, &new);
        self.fields(place, &old, &new);
        self.bounds(place, &old, &new);
        self.variants(place, &old, &new);
        self.parts(place, &old, &new);
        self.others(place, &old, &new);
        self.open.pop();
    }

    fn types(&mut self, place: &Path, old: &Schema, new: &Schema) {
        let (was, is) = (types(old), types(new));
        if was != is {
            // An integer is a number; without a type anything goes.
            let takes = |wide: &BTreeSet<String>, narrow: &BTreeSet<String>| {
                wide.is_empty()
                    || !narrow.is_empty()
                        && narrow.iter().all(|name| {
                            wide.contains(name) || (name == "integer" && wide.contains("number"))
                        })
            };
            let breaking = (self.relies.reads() && !takes(&was, &is))
                || (self.relies.writes() && !takes(&is, &was));
            let text = format!("the type was {}, is {}", list(&was), list(&is));
            self.put(breaking, place, text);
        }
        let (was, is) = (&old.get("format"), &new.get("format"));
        if was != is && (was.is_some() || self.relies.writes()) {
            let name = |format: &Option<&Value>| format.map_or("none".to_owned(), shown);
            let text = format!("the format was {}, is {}", name(was), name(is));
            let breaking = match is {
                None => self.relies.reads(),
                Some(_) => true,
            };
            self.put(breaking, place, text);
        }
    }

    fn enums(&mut self, place: &Path, old: &Schema, new: &Schema) {
        let values = |schema: &Schema| -> Option<Vec<Value>> {
            match (schema.get("enum"), schema.get("const")) {
                (Some(Value::Array(list)), _) => Some(list.clone()),
                (_, Some(only)) => Some(vec![only.clone()]),
                _ => None,
            }
        };
        match (values(old), values(new)) {
            (None, None) => {}
            (Some(_), None) => {
                self.put(
                    self.relies.reads(),
                    place,
                    "any value may come, no more a list of them",
                );
            }
            (None, Some(_)) => {
                self.put(
                    self.relies.writes(),
                    place,
                    "only values of a list are allowed now",
                );
            }
            (Some(was), Some(is)) => {
                for value in was.iter().filter(|value| !is.contains(value)) {
                    self.put(
                        true,
                        place,
                        format!("the value {} was removed", shown(value)),
                    );
                }
                for value in is.iter().filter(|value| !was.contains(value)) {
                    self.put(
                        false,
                        place,
                        format!("the value {} was added", shown(value)),
                    );
                }
            }
        }
    }

    fn fields(&mut self, place: &Path, old: &Schema, new: &Schema) {
        let empty = Map::new();
        let fields =
            |schema: &'_ Schema| schema.get("properties").and_then(Value::as_object).cloned();
        let (was, is) = (fields(old), fields(new));
        let (was, is) = (
            was.as_ref().unwrap_or(&empty),
            is.as_ref().unwrap_or(&empty),
        );
        let (needed, needs) = (required(old), required(new));
        for (name, schema) in was {
            let at = place.field(name);
            match is.get(name) {
                None => {
                    let closed = CLOSING
                        .iter()
                        .any(|key| new.get(*key) == Some(&false.into()));
                    self.put(self.relies.reads() || closed, &at, "removed");
                }
                Some(new) => {
                    self.schemas(&at, schema, new);
                    match (needed.contains(name), needs.contains(name)) {
                        (true, false) => {
                            self.put(self.relies.reads(), &at, "is not always there any more")
                        }
                        (false, true) => self.put(self.relies.writes(), &at, "became required"),
                        _ => {}
                    }
                }
            }
        }
        for name in is.keys().filter(|name| !was.contains_key(*name)) {
            let at = place.field(name);
            match needs.contains(name) && !needed.contains(name) {
                true => self.put(self.relies.writes(), &at, "added, and required"),
                false => self.put(false, &at, "added"),
            }
        }
        // A field may be required without being described.
        for name in needs
            .difference(&needed)
            .filter(|name| !is.contains_key(*name))
        {
            self.put(self.relies.writes(), &place.field(name), "became required");
        }
        for name in needed
            .difference(&needs)
            .filter(|name| !was.contains_key(*name))
        {
            let text = "is not always there any more";
            self.put(self.relies.reads(), &place.field(name), text);
        }
    }

    /// The items of a list, and the fields of an object that it does not name.
    fn parts(&mut self, place: &Path, old: &Schema, new: &Schema) {
        const ANY: Value = Value::Bool(true);
        let parts = [
            ("items", Token::StarIndex),
            ("additionalProperties", Token::Star),
        ];
        for (key, token) in parts {
            let (was, is) = (old.get(key), new.get(key));
            let (was, is) = (was.unwrap_or(&ANY), is.unwrap_or(&ANY));
            match (was, is) {
                (Value::Bool(was), Value::Bool(is)) if was == is => {}
                (_, Value::Bool(false)) => {
                    let breaking = self.relies.writes() || was.is_object();
                    self.put(breaking, &place.with(token), "is refused now");
                }
                (Value::Bool(false), _) => {
                    self.put(false, &place.with(token), "is allowed now");
                }
                _ => self.schemas(&place.with(token), was, is),
            }
        }
    }

    /// Keywords that are not understood here: a change of one may break anybody.
    fn others(&mut self, place: &Path, old: &Schema, new: &Schema) {
        let understood = |key: &str| {
            UNDERSTOOD.contains(&key)
                || key.starts_with("x-")
                || BOUNDS.iter().any(|(bound, _)| *bound == key)
        };
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys.into_iter().filter(|key| !understood(key)) {
            if old.get(key) != new.get(key) {
                let text = format!("`{key}` changed; what that means for others is not known");
                self.put(true, place, text);
            }
        }
    }

    fn bounds(&mut self, place: &Path, old: &Schema, new: &Schema) {
        for (name, greater_is_tighter) in BOUNDS {
            let bound = |schema: &'_ Schema| {
                let value = schema.get(name).filter(|value| **value != false);
                value.cloned()
            };
            let (was, is) = (bound(old), bound(new));
            if was == is {
                continue;
            }
            let tighter = match (&was, &is) {
                (None, _) => true,
                (_, None) => false,
                (Some(was), Some(is)) => (is.as_f64() > was.as_f64()) == greater_is_tighter,
            };
            // Of two patterns or steps neither is the tighter one.
            let other = was.is_some() && is.is_some() && ["pattern", "multipleOf"].contains(&name);
            let shown = |bound: &Option<Value>| bound.as_ref().map_or("none".to_owned(), shown);
            let text = format!("`{name}` was {}, is {}", shown(&was), shown(&is));
            let breaking = match tighter {
                _ if other => true,
                true => self.relies.writes(),
                false => self.relies.reads(),
            };
            self.put(breaking, place, text);
        }
    }

    fn variants(&mut self, place: &Path, old: &Schema, new: &Schema) {
        for key in ["oneOf", "anyOf"] {
            let list = |schema: &Schema| -> Vec<Value> {
                schema
                    .get(key)
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default()
            };
            let (was, is) = (list(old), list(new));
            if was.len() == is.len() {
                for (was, is) in was.iter().zip(&is) {
                    self.schemas(place, was, is);
                }
                continue;
            }
            let unknown = |among: &[Value], value: &&Value| !among.contains(value);
            for variant in was.iter().filter(|value| unknown(&is, value)) {
                self.put(
                    true,
                    place,
                    format!("the variant {} was removed", shown(variant)),
                );
            }
            // What a variant refers to may have changed.
            for variant in was.iter().filter(|value| is.contains(value)) {
                self.schemas(place, variant, variant);
            }
            for variant in is.iter().filter(|value| unknown(&was, value)) {
                let text = format!("the variant {} was added", shown(variant));
                self.put(self.relies.reads(), place, text);
            }
        }
    }
}

/// The bounds, and whether a greater one allows less.
const BOUNDS: [(&str, bool); 13] = [
    ("minimum", true),
    ("maximum", false),
    ("minLength", true),
    ("maxLength", false),
    ("minItems", true),
    ("maxItems", false),
    ("exclusiveMinimum", true),
    ("exclusiveMaximum", false),
    ("minProperties", true),
    ("maxProperties", false),
    ("uniqueItems", true),
    ("pattern", true),
    ("multipleOf", true),
];

/// What refuses fields that are not named.
const CLOSING: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// Keywords that are compared above, hold definitions, or are only for people.
const UNDERSTOOD: [&str; 26] = [
    "type",
    "format",
    "nullable",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "oneOf",
    "anyOf",
    "$defs",
    "definitions",
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "discriminator",
];

/// How deep schemas are followed.
const MOST_DEPTH: usize = 48;

type Schema = Map<String, Value>;

/// A schema with what it refers to and is composed of in one.
fn merged(document: &Value, schema: &Value) -> Schema {
    let mut whole = Map::new();
    merge(document, schema, &mut whole, 0);
    whole
}

fn merge(document: &Value, schema: &Value, whole: &mut Schema, depth: usize) {
    if *schema == false {
        whole.insert("not".to_owned(), json!({}));
    }
    let Some(map) = schema.as_object().filter(|_| depth < MOST_DEPTH) else {
        return;
    };
    // What stands beside a reference counts too.
    let reference = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    let target = reference.and_then(|pointer| document.pointer(pointer));
    if let Some(target) = target {
        merge(document, target, whole, depth + 1);
    }
    for part in map
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        merge(document, part, whole, depth + 1);
    }
    for (key, value) in map {
        match (key.as_str(), whole.get_mut(key), value) {
            ("allOf", ..) => {}
            ("$ref", ..) if target.is_some() => {}
            ("properties", Some(Value::Object(known)), Value::Object(more)) => {
                for (name, schema) in more {
                    let both = match known.remove(name) {
                        Some(other) if other != *schema => json!({ "allOf": [other, schema] }),
                        _ => schema.clone(),
                    };
                    known.insert(name.clone(), both);
                }
            }
            ("required", Some(Value::Array(known)), Value::Array(more)) => {
                known.extend(more.iter().cloned());
            }
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
}

fn types(schema: &Schema) -> BTreeSet<String> {
    let mut types: BTreeSet<String> = match schema.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.clone()]),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect(),
        _ => BTreeSet::new(),
    };
    if schema.get("nullable") == Some(&Value::Bool(true)) && !types.is_empty() {
        types.insert("null".to_owned());
    }
    types
}

fn required(schema: &Schema) -> BTreeSet<String> {
    let names = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    names
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

fn list(types: &BTreeSet<String>) -> String {
    match types.is_empty() {
        true => "any".to_owned(),
        false => types.iter().cloned().collect::<Vec<_>>().join(" or "),
    }
}
