//! The matching rules of a request, response or message: a category for each of its parts.
//!
//! Version 2 has one flat map whose keys begin with the part (`$.body.items[*].id`); versions 3 and 4
//! nest (`body` → `$.items[*].id`). Both are read into the same shape.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Result, invalid};
use crate::path::{Path, Token};
use crate::rule::{Rule, RuleList};

/// The rules of one part, by path expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Category(BTreeMap<Path, RuleList>);

/// The best rule for a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Best<'a> {
    pub(crate) list: &'a RuleList,
    /// Whether it was given for a place above.
    pub(crate) cascaded: bool,
}

impl Category {
    /// Everything is equal to the example.
    pub(crate) fn equality() -> Self {
        Self::of(Path::empty(), Rule::Equality)
    }

    /// One rule.
    pub(crate) fn of(path: Path, rule: Rule) -> Self {
        Self(BTreeMap::from([(path, RuleList::of(rule))]))
    }

    /// Several rules for one path, all of which hold.
    pub(crate) fn all(path: Path, rules: Vec<Rule>) -> Self {
        Self::of_lists([(path, RuleList { rules, any: false })])
    }

    /// A list without rules is none: it must not stand in for equality.
    fn of_lists(lists: impl IntoIterator<Item = (Path, RuleList)>) -> Self {
        let lists = lists.into_iter();
        Self(lists.filter(|(_, list)| !list.rules.is_empty()).collect())
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a rule to those of `path`.
    pub fn add(&mut self, path: Path, rule: Rule) {
        self.0.entry(path).or_default().rules.push(rule);
    }

    /// The rules by path.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &RuleList)> {
        self.0.iter()
    }

    /// The rule of the expression with the greatest weight; the longer one if two weigh the same.
    pub(crate) fn best(&self, place: &Path) -> Option<Best<'_>> {
        let fitting = self.0.iter().filter_map(|(path, list)| {
            let weight = path.weight(place);
            (weight > 0).then(|| (weight * path.tokens().len(), path, list))
        });
        let (_, path, list) =
            fitting.max_by_key(|(weight, path, _)| (*weight, path.tokens().len()))?;
        Some(Best {
            list,
            cascaded: path.tokens().len() != place.tokens().len(),
        })
    }

    /// Whether a rule fits the place, given for it or for a place above.
    pub(crate) fn has(&self, place: &Path) -> bool {
        self.0.keys().any(|path| path.weight(place) > 0)
    }

    /// The rules that were given for the place itself.
    pub(crate) fn exactly(&self, place: &Path) -> impl Iterator<Item = &Rule> {
        let exact = self.0.iter().filter(|(path, _)| path.is_exactly(place));
        exact.flat_map(|(_, list)| &list.rules)
    }

    /// The rule of a category without paths.
    pub(crate) fn only(&self) -> Option<&RuleList> {
        self.0.values().next()
    }

    /// The rule of a header or query parameter, by its name.
    pub(crate) fn of_name(
        &self,
        name: &str,
        same: impl Fn(&str, &str) -> bool,
    ) -> Option<&RuleList> {
        let fits = |path: &Path| match path.tokens() {
            [Token::Root, Token::Field(field), ..] => same(field, name),
            [Token::Root] | [] => true,
            [Token::Root, token, ..] => *token == Token::Star,
            _ => false,
        };
        self.0
            .iter()
            .find(|(path, _)| fits(path))
            .map(|(_, list)| list)
    }

    /// Reads a category of version 3 or 4 whose keys are path expressions.
    pub(crate) fn of_json(value: &Value) -> Result<Self> {
        Self::read(value, Path::parse)
    }

    fn read(value: &Value, key: impl Fn(&str) -> Result<Path>) -> Result<Self> {
        let Some(map) = value.as_object() else {
            return Err(invalid(format!(
                "`{value}` is no category of matching rules"
            )));
        };
        if map.contains_key("matchers") {
            let list = RuleList::of_json(value)?;
            return Ok(Self::of_lists([(Path::empty(), list)]));
        }
        let entries = map.iter().map(|(path, rules)| {
            let list = RuleList::of_json(rules).map_err(|error| error.at(path))?;
            Ok((key(path)?, list))
        });
        Ok(Self::of_lists(entries.collect::<Result<Vec<_>>>()?))
    }

    /// As in a file of version 3 or 4.
    pub(crate) fn to_json(&self) -> Value {
        let entries = self.0.iter();
        let entries = entries.map(|(path, list)| (path.to_string(), list.to_json()));
        Value::Object(entries.collect())
    }

    fn to_json_by_name(&self) -> Value {
        let entries = self.0.iter().filter_map(|(path, list)| {
            let name = path.tokens().iter().find_map(|token| match token {
                Token::Field(name) => Some(name.clone()),
                _ => None,
            });
            Some((name?, list.to_json()))
        });
        Value::Object(entries.collect())
    }
}

/// The rules of a request, response or message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Of a request's path.
    pub path: Category,
    /// Of a request's query parameters, by name.
    pub query: Category,
    /// Of headers, by name in lower case.
    pub header: Category,
    /// Of a body, or of a message's contents.
    pub body: Category,
    /// Of a response's status.
    pub status: Category,
    /// Of a message's metadata, by key.
    pub metadata: Category,
}

impl Rules {
    /// Reads the rules of any version; what they belong to decides what a flat map means.
    pub(crate) fn of_json(value: &Value) -> Result<Self> {
        let Some(map) = value.as_object() else {
            return Ok(Self::default());
        };
        if map.keys().any(|key| key.starts_with('$')) {
            return Self::of_flat_map(map);
        }
        let mut rules = Self::default();
        for (category, value) in map {
            let by_name = |name: &str| Ok(Path::root().field(name));
            let by_lower_name = |name: &str| Ok(Path::root().field(&name.to_lowercase()));
            let read = match category.as_str() {
                "path" | "status" => Category::read(value, |_| Ok(Path::empty())),
                "query" => Category::read(value, by_name),
                "header" | "headers" => Category::read(value, by_lower_name),
                "body" | "content" | "contents" => Category::of_json(value),
                "metadata" => Category::read(value, |key| match key.starts_with('$') {
                    true => Path::parse(key),
                    false => by_name(key),
                }),
                // A method is compared without rules; others belong to plugins.
                _ => continue,
            };
            let read = read.map_err(|error| error.at(format_args!("matchingRules.{category}")))?;
            rules.put(category, read);
        }
        Ok(rules)
    }

    fn put(&mut self, category: &str, rules: Category) {
        match category {
            "path" => self.path = rules,
            "status" => self.status = rules,
            "query" => self.query = rules,
            "header" | "headers" => self.header = rules,
            "metadata" => self.metadata = rules,
            _ => self.body = rules,
        }
    }

    /// Version 2: `$.body.…`, `$.header.NAME`, `$.headers.NAME`, `$.query.NAME[…]`, `$.path`.
    fn of_flat_map(map: &Map<String, Value>) -> Result<Self> {
        let mut rules = Self::default();
        for (key, value) in map {
            let path = Path::parse(key)?;
            let rule = Rule::of_json(value).map_err(|error| error.at(key))?;
            let [_, Token::Field(part), below @ ..] = path.tokens() else {
                return Err(invalid(format!("`{key}` is no path of a matching rule")));
            };
            let name = || match below.first() {
                Some(Token::Field(name)) => Ok(name.clone()),
                _ => Err(invalid(format!("`{key}` names no header or parameter"))),
            };
            match part.as_str() {
                "body" => {
                    let place = below
                        .iter()
                        .cloned()
                        .fold(Path::root(), |path, t| path.with(t));
                    rules.body.add(place, rule);
                }
                "header" | "headers" => {
                    rules
                        .header
                        .add(Path::root().field(&name()?.to_lowercase()), rule);
                }
                "query" => rules.query.add(Path::root().field(&name()?), rule),
                "path" => rules.path.add(Path::empty(), rule),
                "status" => rules.status.add(Path::empty(), rule),
                other => return Err(invalid(format!("`{key}`: there is no part `{other}`"))),
            }
        }
        Ok(rules)
    }

    /// As in a file of version 4; `None` if there are none.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let mut map = Map::new();
        let mut put = |name: &str, category: &Category, value: Value| {
            if !category.is_empty() {
                map.insert(name.to_owned(), value);
            }
        };
        put("body", &self.body, self.body.to_json());
        put("header", &self.header, self.header.to_json_by_name());
        put("metadata", &self.metadata, self.metadata.to_json_by_name());
        let only = |category: &Category| category.only().map_or(json!({}), RuleList::to_json);
        put("path", &self.path, only(&self.path));
        put("query", &self.query, self.query.to_json_by_name());
        put("status", &self.status, only(&self.status));
        (!map.is_empty()).then_some(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flat_map_of_version_2_and_the_nested_one_are_the_same() {
        let flat = json!({
            "$.body.items[*].id": { "match": "type" }, "$.headers.X-Id": { "regex": "\\d" },
            "$.path": { "match": "regex", "regex": "/a" }, "$.query.q[0]": { "match": "type" },
        });
        let list = |rule: Value| json!({ "combine": "AND", "matchers": [rule] });
        let nested = json!({
            "body": { "$.items[*].id": list(json!({ "match": "type" })) },
            "header": { "x-id": list(json!({ "match": "regex", "regex": "\\d" })) },
            "path": list(json!({ "match": "regex", "regex": "/a" })),
            "query": { "q": list(json!({ "match": "type" })) },
        });
        let read = Rules::of_json(&flat).expect("version 2");
        assert_eq!(read, Rules::of_json(&nested).expect("version 3"));
        assert_eq!(read.to_json(), Some(nested));
    }

    #[test]
    fn a_category_of_a_message_has_either_name() {
        let rule = json!({ "$.a": { "matchers": [{ "match": "type" }] } });
        let body = Rules::of_json(&json!({ "body": rule })).expect("rules");
        assert_eq!(
            body,
            Rules::of_json(&json!({ "content": rule })).expect("rules")
        );
    }
}
