//! Two versions of a schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Changes;
use crate::matching::shown;
use crate::openapi::resolve;
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
        if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
            self.schemas(&place.with(Token::StarIndex), old, new);
        }
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
                    let closed = new.get("additionalProperties") == Some(&Value::Bool(false));
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
            match needs.contains(name) {
                true => self.put(self.relies.writes(), &at, "added, and required"),
                false => self.put(false, &at, "added"),
            }
        }
        let closed =
            |schema: &Schema| schema.get("additionalProperties") == Some(&Value::Bool(false));
        if closed(new) && !closed(old) && (!was.is_empty() || !is.is_empty()) {
            self.put(self.relies.writes(), place, "other fields are refused now");
        }
    }

    fn bounds(&mut self, place: &Path, old: &Schema, new: &Schema) {
        for (name, greater_is_tighter) in BOUNDS {
            let (was, is) = (old.get(name), new.get(name));
            if was == is {
                continue;
            }
            let number = |bound: Option<&Value>| bound.and_then(Value::as_f64);
            let tighter = match (number(was), number(is)) {
                (None, _) => true,
                (_, None) => false,
                (Some(was), Some(is)) => (is > was) == greater_is_tighter,
            };
            let text = format!(
                "`{name}` was {}, is {}",
                was.map_or("none".to_owned(), shown),
                is.map_or("none".to_owned(), shown)
            );
            // A pattern is neither tighter nor looser than another.
            let breaking = match name {
                "pattern" if is.is_some() => true,
                _ if tighter => self.relies.writes(),
                _ => self.relies.reads(),
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
            for variant in is.iter().filter(|value| unknown(&was, value)) {
                let text = format!("the variant {} was added", shown(variant));
                self.put(self.relies.reads(), place, text);
            }
        }
    }
}

/// The bounds, and whether a greater one allows less.
const BOUNDS: [(&str, bool); 8] = [
    ("minimum", true),
    ("maximum", false),
    ("minLength", true),
    ("maxLength", false),
    ("minItems", true),
    ("maxItems", false),
    ("pattern", true),
    ("multipleOf", true),
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
    let schema = resolve(document, schema);
    let Some(map) = schema.as_object().filter(|_| depth < MOST_DEPTH) else {
        return;
    };
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
            ("properties", Some(Value::Object(known)), Value::Object(more)) => {
                known.extend(more.clone());
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
