//! The specifications that a supergraph links, and the names that belong to them.
//!
//! A specification's elements are named `prefix__Name`, its main directive `@prefix`, and imported ones
//! as the import says (the link specification). None of them is part of what clients see.

use std::collections::HashSet;

use graphql_tools::static_graphql::schema::{Definition, Directive, Document, Value};

/// The names that belong to federation and to linked specifications.
pub(super) struct Features {
    prefixes: HashSet<String>,
    imported: HashSet<String>,
}

impl Features {
    pub(super) fn of(document: &Document) -> Self {
        let mut features = Self {
            prefixes: KNOWN.iter().map(|&name| name.to_owned()).collect(),
            imported: HashSet::new(),
        };
        let links = document
            .definitions
            .iter()
            .filter_map(|definition| match definition {
                Definition::SchemaDefinition(schema) => Some(&schema.directives),
                _ => None,
            });
        for directive in links.flatten() {
            if matches!(directive.name.as_str(), "link" | "core") {
                features.add(directive);
            }
        }
        features
    }

    fn add(&mut self, link: &Directive) {
        let argument = |name: &str| {
            let found = link.arguments.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value)
        };
        let url = match argument("url").or_else(|| argument("feature")) {
            Some(Value::String(url)) => url.as_str(),
            _ => return,
        };
        let name = match argument("as") {
            Some(Value::String(name)) => Some(name.as_str()),
            _ => specification(url),
        };
        self.prefixes.extend(name.map(str::to_owned));
        let Some(Value::List(imports)) = argument("import") else {
            return;
        };
        for import in imports {
            let name = match import {
                Value::String(name) => Some(name),
                Value::Object(fields) => ["as", "name"].iter().find_map(|wanted| {
                    fields.iter().find_map(|(key, value)| match value {
                        Value::String(name) if key == wanted => Some(name),
                        _ => None,
                    })
                }),
                _ => None,
            };
            let name = name.map(|name| name.trim_start_matches('@').to_owned());
            self.imported.extend(name);
        }
    }

    /// True if the type or directive of this name belongs to a specification.
    pub(super) fn own(&self, name: &str) -> bool {
        let prefix = name.split_once("__").map_or(name, |(prefix, _)| prefix);
        self.imported.contains(name) || (!prefix.is_empty() && self.prefixes.contains(prefix))
    }

    /// True if the *type* of this name does: the bare name of a specification names only a directive.
    pub(super) fn own_type(&self, name: &str) -> bool {
        self.imported.contains(name) || (name.contains("__") && self.own(name))
    }
}

/// The name in a specification's URL: the last part, or the one before a version.
fn specification(url: &str) -> Option<&str> {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let last = parts.next()?;
    let version = last.strip_prefix('v').is_some_and(|rest| {
        rest.split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    });
    let name = if version { parts.next()? } else { last };
    (!name.is_empty()).then_some(name)
}

/// Specifications whose names composers use without always linking them.
const KNOWN: &[&str] = &[
    "join",
    "link",
    "core",
    "federation",
    "tag",
    "inaccessible",
    "authenticated",
    "requiresScopes",
    "policy",
    "cost",
    "listSize",
    "context",
    "fromContext",
    "composeDirective",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_linked_specifications_are_known() {
        let document = graphql_tools::parser::parse_schema::<String>(
            r#"schema
                @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION)
                @link(url: "https://example.org/house", as: "home")
                @link(url: "https://example.org/rate/v1.2", import: ["@limited", {name: "@x", as: "@y"}])
            { query: Query } type Query { a: Int }"#,
        );
        let features = Features::of(&document.expect("the schema parses").into_static());
        for own in [
            "join__type",
            "join__Graph",
            "home",
            "home__Door",
            "limited",
            "y",
            "rate",
            "tag",
        ] {
            assert!(features.own(own), "{own}");
        }
        for foreign in ["house", "x", "Query", "__Schema", "deprecated", "joint"] {
            assert!(!features.own(foreign), "{foreign}");
        }
    }
}
