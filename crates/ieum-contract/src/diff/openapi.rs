//! Two versions of an OpenAPI document.

use serde_json::{Map, Value, json};

use super::Changes;
use super::schema::{Relies, Walk};
use crate::matching::shown;
use crate::openapi::{Document, Operation};
use crate::path::Path;

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

pub(super) fn compare(old: &Document, new: &Document) -> Changes {
    let mut changes = Changes::default();
    let mut both = Both {
        old,
        new,
        changes: &mut changes,
    };
    both.paths();
    changes
}

struct Both<'a> {
    old: &'a Document,
    new: &'a Document,
    changes: &'a mut Changes,
}

impl<'a> Both<'a> {
    fn paths(&mut self) {
        let (was, is) = (self.old.base(), self.new.base());
        if was != is {
            let text = format!("the path was `{was}`, is `{is}`");
            self.changes.put(true, "servers", text);
        }
        let (was, is) = (
            map(&self.old.value()["paths"]),
            map(&self.new.value()["paths"]),
        );
        for (path, old) in was {
            // Names in a template may change; where they stand may not.
            let new = is.iter().find(|(other, _)| shape(other) == shape(path));
            let Some((new_path, new)) = new else {
                self.changes.put(true, path, "removed");
                continue;
            };
            let (old, new) = (self.old.resolve(old), self.new.resolve(new));
            for method in METHODS {
                let name = format!("{} {path}", method.to_uppercase());
                match (old.get(method), new.get(method)) {
                    (Some(was), Some(is)) => {
                        let was = operation(path, old, was);
                        self.operation(&name, &was, &operation(new_path, new, is));
                    }
                    (Some(_), None) => self.changes.put(true, name, "removed"),
                    (None, Some(_)) => self.changes.put(false, name, "added"),
                    (None, None) => {}
                }
            }
        }
        let known = |path: &str| was.keys().any(|other| shape(other) == shape(path));
        for path in is.keys().filter(|path| !known(path)) {
            self.changes.put(false, path, "added");
        }
    }

    fn operation(&mut self, name: &str, old: &Operation<'a>, new: &Operation<'a>) {
        self.parameters(name, old, new);
        let (old, new) = (old.value, new.value);
        self.security(name, old, new);
        self.request_body(name, &old["requestBody"], &new["requestBody"]);
        let (was, is) = (map(&old["responses"]), map(&new["responses"]));
        for (status, old) in was {
            match is.get(status) {
                None => {
                    let place = format!("{name} {status}");
                    self.changes.put(true, place, "the status was removed");
                }
                Some(new) => self.response(&format!("{name} {status}"), old, new),
            }
        }
        for status in is.keys().filter(|status| !was.contains_key(*status)) {
            let place = format!("{name} {status}");
            self.changes.put(false, place, "the status was added");
        }
    }

    fn parameters(&mut self, name: &str, old: &Operation<'a>, new: &Operation<'a>) {
        let (was, is) = (self.old.described(old), self.new.described(new));
        for parameter in &was {
            let key = key(old, parameter);
            let root = format!("$.{}", label(parameter));
            let place = format!("{name} {root}");
            let Some(other) = is.iter().find(|other| self::key(new, other) == key) else {
                let text = "removed; it is not looked at any more";
                self.changes.put(false, place, text);
                continue;
            };
            if other["required"] == true && parameter["required"] != true {
                self.changes.put(true, &place, "became required");
            }
            for word in ["style", "explode", "content"] {
                if parameter[word] != other[word] {
                    let text = format!("is written otherwise: `{word}` changed");
                    self.changes.put(true, &place, text);
                }
            }
            let (was, is) = (&parameter["schema"], &other["schema"]);
            self.schemas(Relies::Writer, format!("{name} "), &root, was, is);
        }
        let known = |other: &Value| was.iter().any(|was| key(old, was) == key(new, other));
        for parameter in is
            .iter()
            .filter(|other| other["in"] != "path" && !known(other))
        {
            let place = format!("{name} $.{}", label(parameter));
            match parameter["required"] == true {
                true => self.changes.put(true, place, "added, and required"),
                false => self.changes.put(false, place, "added"),
            }
        }
    }

    /// Who could call before has to be able to call now.
    fn security(&mut self, name: &str, old: &Value, new: &Value) {
        let ways = |document: &Document, operation: &Value| -> Vec<Value> {
            let own = operation.get("security");
            let ways = own.or_else(|| document.value().get("security"));
            match ways.and_then(Value::as_array) {
                Some(ways) if !ways.is_empty() => ways.clone(),
                _ => vec![json!({})],
            }
        };
        let (was, is) = (ways(self.old, old), ways(self.new, new));
        let still = |way: &Value| is.contains(way) || is.contains(&json!({}));
        for way in was.iter().filter(|way| !still(way)) {
            let text = format!("the security {} is not enough any more", shown(way));
            self.changes.put(true, name, text);
        }
    }

    fn request_body(&mut self, name: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (self.old.resolve(old), self.new.resolve(new));
        let place = format!("{name} $.body");
        match (old.is_null(), new.is_null()) {
            (true, true) => {}
            (true, false) if new["required"] == true => {
                self.changes.put(true, place, "added, and required");
            }
            (true, false) => self.changes.put(false, place, "added"),
            (false, true) => self.changes.put(true, place, "no body is taken any more"),
            (false, false) => {
                if new["required"] == true && old["required"] != true {
                    self.changes.put(true, place, "became required");
                }
                self.content(name, Relies::Writer, old, new);
            }
        }
    }

    fn response(&mut self, name: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (self.old.resolve(old), self.new.resolve(new));
        for (header, was) in map(&old["headers"]) {
            let root = format!("$.headers.{}", header.to_lowercase());
            let place = format!("{name} {root}");
            let mut others = map(&new["headers"]).iter();
            let other = others.find(|(other, _)| other.eq_ignore_ascii_case(header));
            let Some((_, is)) = other else {
                self.changes.put(true, place, "removed");
                continue;
            };
            let (was, is) = (self.old.resolve(was), self.new.resolve(is));
            if was["required"] == true && is["required"] != true {
                let text = "is not always there any more";
                self.changes.put(true, place, text);
            }
            let (was, is) = (&was["schema"], &is["schema"]);
            self.schemas(Relies::Reader, format!("{name} "), &root, was, is);
        }
        self.content(name, Relies::Reader, old, new);
    }

    fn content(&mut self, name: &str, relies: Relies, old: &'a Value, new: &'a Value) {
        let (was, is) = (map(&old["content"]), map(&new["content"]));
        for (media_type, old) in was {
            match is.get(media_type) {
                None => {
                    let text = format!("the type {media_type} was removed");
                    self.changes.put(true, format!("{name} $.body"), text);
                }
                Some(new) => {
                    let (old, new) = (&old["schema"], &new["schema"]);
                    self.schemas(relies, format!("{name} "), "$.body", old, new);
                }
            }
        }
        for media_type in is
            .keys()
            .filter(|media_type| !was.contains_key(*media_type))
        {
            let text = format!("the type {media_type} was added");
            self.changes.put(false, format!("{name} $.body"), text);
        }
    }

    fn schemas(&mut self, relies: Relies, before: String, root: &str, old: &Value, new: &Value) {
        let documents = (self.old.value(), self.new.value());
        Walk::new(documents, relies, before, root, self.changes).schemas(&Path::root(), old, new);
    }
}

/// The members of an object; none of anything else.
fn map(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// A template without the names in it.
fn shape(template: &str) -> String {
    let segments = template
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => "{}",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

fn operation<'a>(template: &'a str, item: &'a Value, value: &'a Value) -> Operation<'a> {
    Operation {
        template,
        value,
        shared: &item["parameters"],
        values: Vec::new(),
    }
}

/// What tells a parameter from others: one of the path is known by where it stands, one of a header
/// by its name in any case.
fn key(operation: &Operation<'_>, parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap_or_default();
    match parameter["in"].as_str().unwrap_or_default() {
        "path" => {
            let name = format!("{{{name}}}");
            let at = operation.template.find(&name).unwrap_or_default();
            format!("path.{}", operation.template[..at].matches('/').count())
        }
        "header" => format!("header.{}", name.to_lowercase()),
        place => format!("{place}.{name}"),
    }
}

/// A parameter for people: `query.page`.
fn label(parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap_or_default();
    format!("{}.{name}", parameter["in"].as_str().unwrap_or_default())
}
