//! Two versions of an OpenAPI document.

use serde_json::{Map, Value};

use super::Changes;
use super::schema::{Relies, Walk};
use crate::openapi::Document;
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
        let (was, is) = (
            map(&self.old.value()["paths"]),
            map(&self.new.value()["paths"]),
        );
        for (path, old) in was {
            // Names in a template may change; where they stand may not.
            let new = is.iter().find(|(other, _)| shape(other) == shape(path));
            let Some((_, new)) = new else {
                self.changes.put(true, path, "removed");
                continue;
            };
            let (old, new) = (self.old.resolve(old), self.new.resolve(new));
            for method in METHODS {
                let name = format!("{} {path}", method.to_uppercase());
                match (old.get(method), new.get(method)) {
                    (Some(was), Some(is)) => self.operation(&name, (old, was), (new, is)),
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

    fn operation(
        &mut self,
        name: &str,
        (old_item, old): (&'a Value, &'a Value),
        (new_item, new): (&'a Value, &'a Value),
    ) {
        self.parameters(name, (old_item, old), (new_item, new));
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

    fn parameters(
        &mut self,
        name: &str,
        (old_item, old): (&'a Value, &'a Value),
        (new_item, new): (&'a Value, &'a Value),
    ) {
        let was = parameters(self.old, old_item, old);
        let is = parameters(self.new, new_item, new);
        let key = |parameter: &Value| {
            let name = parameter["name"].as_str().unwrap_or_default();
            format!("{}.{name}", parameter["in"].as_str().unwrap_or_default())
        };
        for old in &was {
            // The place of a parameter in a path is its name.
            if old["in"] == "path" {
                continue;
            }
            let place = format!("{name} $.{}", key(old));
            let Some(new) = is.iter().find(|new| key(new) == key(old)) else {
                self.changes
                    .put(false, place, "removed; it is not looked at any more");
                continue;
            };
            if new["required"] == true && old["required"] != true {
                self.changes.put(true, place, "became required");
            }
            let root = format!("$.{}", key(old));
            self.schemas(
                Relies::Writer,
                format!("{name} "),
                &root,
                &old["schema"],
                &new["schema"],
            );
        }
        let known = |new: &Value| was.iter().any(|old| key(old) == key(new));
        for new in is.iter().filter(|new| new["in"] != "path" && !known(new)) {
            let place = format!("{name} $.{}", key(new));
            match new["required"] == true {
                true => self.changes.put(true, place, "added, and required"),
                false => self.changes.put(false, place, "added"),
            }
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
        for header in map(&old["headers"]).keys() {
            let is = map(&new["headers"])
                .keys()
                .any(|other| other.eq_ignore_ascii_case(header));
            if !is {
                let place = format!("{name} $.headers.{}", header.to_lowercase());
                self.changes.put(true, place, "removed");
            }
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

fn parameters<'a>(document: &'a Document, item: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let lists = [&operation["parameters"], &item["parameters"]];
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.map(|parameter| document.resolve(parameter)).collect()
}
