//! Matching rules as values: what a Pact file may ask of a value, read and written as JSON.
//!
//! What a rule means is in [`crate::matching`]; here is only its shape. A rule that this version does
//! not know (a plugin's) is an error at reading: a contract that is only half understood would be
//! verified only half.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::error::{Result, invalid};
use crate::rules::Category;

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The value of the example. Ends the cascade of a rule above it.
    Equality,
    /// The type of the example, also for everything below.
    Type,
    /// As [`Rule::Type`], and a list has a length between the bounds, which do not cascade.
    Length {
        /// The least length, if there is one.
        min: Option<usize>,
        /// The greatest length, if there is one.
        max: Option<usize>,
    },
    /// The pattern matches the value's whole text.
    Regex(String),
    /// The value's text has this part.
    Include(String),
    /// A number without a fraction.
    Integer,
    /// A number with a fraction.
    Decimal,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// A date, time or both, in the format of Java's `DateTimeFormatter`.
    Moment {
        /// Which default the format has.
        kind: Moment,
        /// The format; empty for the default.
        format: String,
    },
    /// An object whose keys do not matter: each value is like the example's.
    Values,
    /// Each key of an object follows the rules.
    EachKey(Each),
    /// Each value of an object or list follows the rules.
    EachValue(Each),
    /// A list has, in any order and among others, an item for each of these.
    ArrayContains(Vec<Variant>),
    /// A status of this class, or among these.
    StatusCode(Statuses),
    /// Neither null nor without content.
    NotEmpty,
    /// Data of this media type.
    ContentType(String),
    /// A semantic version.
    Semver,
}

/// Which of the three formats with a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `yyyy-MM-dd`.
    Date,
    /// `HH:mm:ss`.
    Time,
    /// `yyyy-MM-dd'T'HH:mm:ssXXX`.
    DateTime,
}

impl Moment {
    /// Its name in a file of version 3 or 4.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
        }
    }

    /// The format that holds if none is given.
    pub const fn default_format(self) -> &'static str {
        match self {
            Self::Date => "yyyy-MM-dd",
            Self::Time => "HH:mm:ss",
            Self::DateTime => "yyyy-MM-dd'T'HH:mm:ssXXX",
        }
    }
}

/// What [`Rule::EachKey`] and [`Rule::EachValue`] ask of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Each {
    /// The example, kept for other libraries; null if there is none.
    pub example: Value,
    /// All of them hold.
    pub rules: Vec<Rule>,
}

/// An item that [`Rule::ArrayContains`] asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Which item of the example it is.
    pub index: usize,
    /// What holds below it; without rules it must be equal.
    pub rules: Category,
}

/// A set of statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// From the first to the last, both included.
    Range(u16, u16, &'static str),
    /// These.
    These(Vec<u16>),
}

/// The names of ranges of statuses in a file of version 4.
const RANGES: [(u16, u16, &str); 7] = [
    (100, 199, "info"),
    (200, 299, "success"),
    (300, 399, "redirect"),
    (400, 499, "clientError"),
    (500, 599, "serverError"),
    (0, 399, "nonError"),
    (400, 999, "error"),
];

impl Statuses {
    /// The range of that name.
    pub fn named(name: &str) -> Option<Self> {
        let range = RANGES.iter().find(|range| range.2 == name)?;
        Some(Self::Range(range.0, range.1, range.2))
    }

    /// Whether a status belongs to it.
    pub fn has(&self, status: u16) -> bool {
        match self {
            Self::Range(first, last, _) => (*first..=*last).contains(&status),
            Self::These(statuses) => statuses.contains(&status),
        }
    }

    fn of_json(value: Option<&Value>) -> Result<Self> {
        match value {
            None => Self::named("success").ok_or_else(|| invalid("no class of statuses")),
            Some(Value::String(name)) => Self::named(name)
                .ok_or_else(|| invalid(format!("`{name}` is no class of statuses"))),
            Some(Value::Array(statuses)) => {
                let statuses = statuses.iter().map(|status| {
                    let status = status.as_u64().and_then(|status| status.try_into().ok());
                    status.ok_or_else(|| invalid("a status is a number"))
                });
                Ok(Self::These(statuses.collect::<Result<_>>()?))
            }
            Some(other) => Err(invalid(format!("`{other}` is no class of statuses"))),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Range(_, _, name) => json!(name),
            Self::These(statuses) => json!(statuses),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(first, last, name) => write!(f, "{name} ({first} to {last})"),
            Self::These(statuses) => write!(f, "one of {statuses:?}"),
        }
    }
}

impl Rule {
    /// Reads a rule of a file of any version.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] if it is none that this version knows, with its name.
    pub fn of_json(value: &Value) -> Result<Self> {
        let Some(map) = value.as_object() else {
            return Err(invalid(format!("`{value}` is no matching rule")));
        };
        match text(map, "match").or_else(|| text(map, "pact:matcher:type")) {
            Some(name) => Self::named(&name, map),
            None => Self::guessed(map)
                .ok_or_else(|| invalid(format!("`{value}` is a matching rule without a name"))),
        }
    }

    fn named(name: &str, map: &Map<String, Value>) -> Result<Self> {
        let needed = |key: &str| {
            text(map, key).ok_or_else(|| invalid(format!("a rule `{name}` needs `{key}`")))
        };
        let moment = |kind: Moment| {
            let format = text(map, "format").or_else(|| text(map, name));
            let format = format.unwrap_or_default();
            Self::Moment { kind, format }
        };
        Ok(match name {
            "equality" => Self::Equality,
            "regex" => Self::Regex(needed("regex")?),
            "type" | "min" | "max" | "min-type" | "max-type" => Self::type_with_bounds(map)?,
            "include" => Self::Include(needed("value")?),
            "integer" => Self::Integer,
            "decimal" | "real" => Self::Decimal,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            "date" => moment(Moment::Date),
            "time" => moment(Moment::Time),
            "timestamp" | "datetime" => moment(Moment::DateTime),
            "values" => Self::Values,
            "eachKey" | "each-key" => Self::EachKey(Each::of_json(map)?),
            "eachValue" | "each-value" => Self::EachValue(Each::of_json(map)?),
            "arrayContains" | "array-contains" => Self::ArrayContains(variants(map)?),
            "statusCode" | "status-code" => Self::StatusCode(Statuses::of_json(map.get("status"))?),
            "notEmpty" | "not-empty" => Self::NotEmpty,
            "contentType" | "content-type" => Self::ContentType(needed("value")?),
            "semver" => Self::Semver,
            other => return Err(invalid(format!("the matching rule `{other}` is not known"))),
        })
    }

    /// Files of version 2 may leave the name out where another key says what is meant.
    fn guessed(map: &Map<String, Value>) -> Option<Self> {
        if let Some(pattern) = text(map, "regex") {
            return Some(Self::Regex(pattern));
        }
        if map.contains_key("min") || map.contains_key("max") {
            return Self::type_with_bounds(map).ok();
        }
        let moments = [
            ("timestamp", Moment::DateTime),
            ("time", Moment::Time),
            ("date", Moment::Date),
        ];
        moments.into_iter().find_map(|(key, kind)| {
            let format = text(map, key)?;
            Some(Self::Moment { kind, format })
        })
    }

    fn type_with_bounds(map: &Map<String, Value>) -> Result<Self> {
        let bound = |key: &str| -> Result<Option<usize>> {
            let Some(value) = map.get(key).filter(|value| !value.is_null()) else {
                return Ok(None);
            };
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            let number = number.and_then(|number| usize::try_from(number).ok());
            let number = number.ok_or_else(|| invalid(format!("`{key}` is a length")))?;
            Ok(Some(number))
        };
        Ok(match (bound("min")?, bound("max")?) {
            (None, None) => Self::Type,
            (min, max) => Self::Length { min, max },
        })
    }

    /// The rule as a file of version 4 has it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Equality => json!({ "match": "equality" }),
            Self::Type => json!({ "match": "type" }),
            Self::Length { min, max } => {
                let mut map = Map::new();
                map.insert("match".into(), json!("type"));
                for (key, bound) in [("max", max), ("min", min)] {
                    if let Some(bound) = bound {
                        map.insert(key.into(), json!(bound));
                    }
                }
                Value::Object(map)
            }
            Self::Regex(pattern) => json!({ "match": "regex", "regex": pattern }),
            Self::Include(part) => json!({ "match": "include", "value": part }),
            Self::Integer => json!({ "match": "integer" }),
            Self::Decimal => json!({ "match": "decimal" }),
            Self::Number => json!({ "match": "number" }),
            Self::Boolean => json!({ "match": "boolean" }),
            Self::Null => json!({ "match": "null" }),
            Self::Moment { kind, format } => json!({ "match": kind.name(), "format": format }),
            Self::Values => json!({ "match": "values" }),
            Self::EachKey(each) => each.to_json("eachKey"),
            Self::EachValue(each) => each.to_json("eachValue"),
            Self::ArrayContains(variants) => {
                let variants: Vec<Value> = variants.iter().map(Variant::to_json).collect();
                json!({ "match": "arrayContains", "variants": variants })
            }
            Self::StatusCode(statuses) => {
                json!({ "match": "statusCode", "status": statuses.to_json() })
            }
            Self::NotEmpty => json!({ "match": "notEmpty" }),
            Self::ContentType(name) => json!({ "match": "contentType", "value": name }),
            Self::Semver => json!({ "match": "semver" }),
        }
    }

    /// Whether an object's own keys do not count under this rule.
    pub(crate) const fn frees_keys(&self) -> bool {
        matches!(self, Self::Values | Self::EachKey(_) | Self::EachValue(_))
    }
}

impl Each {
    fn of_json(map: &Map<String, Value>) -> Result<Self> {
        let rules = match map.get("rules") {
            None => Vec::new(),
            Some(Value::Array(rules)) => rules
                .iter()
                .map(Rule::of_json)
                .collect::<Result<Vec<_>>>()?,
            Some(other) => vec![Rule::of_json(other)?],
        };
        Ok(Self {
            example: map.get("value").cloned().unwrap_or_default(),
            rules,
        })
    }

    fn to_json(&self, name: &str) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::to_json).collect();
        let mut map = Map::new();
        map.insert("match".into(), json!(name));
        map.insert("rules".into(), json!(rules));
        if !self.example.is_null() {
            map.insert("value".into(), self.example.clone());
        }
        Value::Object(map)
    }
}

impl Variant {
    fn to_json(&self) -> Value {
        json!({ "index": self.index, "rules": self.rules.to_json() })
    }
}

fn variants(map: &Map<String, Value>) -> Result<Vec<Variant>> {
    let Some(Value::Array(list)) = map.get("variants") else {
        return Err(invalid("a rule `arrayContains` needs `variants`"));
    };
    let read = list.iter().map(|variant| {
        let index = variant["index"].as_u64().unwrap_or(0);
        let rules = match variant.get("rules") {
            Some(rules) => Category::of_json(rules)?,
            None => Category::equality(),
        };
        Ok(Variant {
            index: usize::try_from(index).unwrap_or(usize::MAX),
            rules,
        })
    });
    read.collect()
}

/// A member's text; a number is taken as its text.
fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    match map.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The rule of a value: one or more, and whether all or any must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleList {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Whether one of them is enough (`"combine": "OR"`).
    pub any: bool,
}

impl RuleList {
    /// A list of one.
    pub fn of(rule: Rule) -> Self {
        Self {
            rules: vec![rule],
            any: false,
        }
    }

    /// Reads `{"combine": …, "matchers": […]}`.
    ///
    /// # Errors
    /// As [`Rule::of_json`].
    pub fn of_json(value: &Value) -> Result<Self> {
        let Some(Value::Array(matchers)) = value.get("matchers") else {
            return Err(invalid(format!("`{value}` has no `matchers`")));
        };
        let combine = value["combine"].as_str().unwrap_or("AND");
        Ok(Self {
            rules: matchers.iter().map(Rule::of_json).collect::<Result<_>>()?,
            any: combine.eq_ignore_ascii_case("or"),
        })
    }

    /// As in a file of version 3 or 4.
    pub fn to_json(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::to_json).collect();
        json!({ "combine": if self.any { "OR" } else { "AND" }, "matchers": rules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_written_as_it_was_read() {
        for rule in [
            json!({ "match": "equality" }),
            json!({ "match": "type" }),
            json!({ "match": "type", "min": 1 }),
            json!({ "match": "type", "min": 1, "max": 4 }),
            json!({ "match": "regex", "regex": "\\d+" }),
            json!({ "match": "include", "value": "a" }),
            json!({ "match": "datetime", "format": "yyyy" }),
            json!({ "match": "eachKey", "rules": [{ "match": "regex", "regex": "a" }], "value": "a" }),
            json!({ "match": "eachValue", "rules": [{ "match": "integer" }] }),
            json!({ "match": "statusCode", "status": "success" }),
            json!({ "match": "statusCode", "status": [200, 201] }),
            json!({ "match": "arrayContains", "variants": [{ "index": 1,
                "rules": { "$.a": { "combine": "AND", "matchers": [{ "match": "type" }] } } }] }),
            json!({ "match": "semver" }),
        ] {
            assert_eq!(Rule::of_json(&rule).expect("a rule").to_json(), rule);
        }
    }

    #[test]
    fn a_rule_without_a_name_is_guessed_as_older_files_mean_it() {
        let guess = |rule: Value| Rule::of_json(&rule).expect("a rule");
        assert_eq!(guess(json!({ "regex": "a" })), Rule::Regex("a".into()));
        let length = Rule::Length {
            min: Some(2),
            max: None,
        };
        assert_eq!(guess(json!({ "min": 2 })), length);
    }

    #[test]
    fn a_rule_that_is_not_known_is_an_error_with_its_name() {
        let error = Rule::of_json(&json!({ "match": "protobuf" })).expect_err("unknown");
        assert!(error.to_string().contains("protobuf"), "{error}");
    }
}
