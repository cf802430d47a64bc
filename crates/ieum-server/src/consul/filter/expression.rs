//! What an expression says of an entry.

use regex_lite::Regex;
use serde_json::Value;

/// An expression that was found to make sense.
#[derive(Debug)]
pub(super) enum Expression {
    Or(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Match {
        path: Vec<String>,
        test: Test,
        /// The test with the opposite sense, at each value: `Checks.Status != "passing"` holds if one
        /// of several checks is otherwise, as in Consul.
        negated: bool,
    },
}

/// What is asked of a selected value.
#[derive(Debug)]
pub(super) enum Test {
    /// It is this text.
    Text(String),
    /// It is this number.
    Number(i64),
    /// It is this truth.
    Truth(bool),
    /// The text has this part, the list this text, the map this name.
    Has(String),
    /// Nothing is in it.
    Empty,
    /// The text matches.
    Matches(Regex),
}

impl Expression {
    pub(super) fn holds(&self, entry: &Value) -> bool {
        match self {
            Self::Or(one, other) => one.holds(entry) || other.holds(entry),
            Self::And(one, other) => one.holds(entry) && other.holds(entry),
            Self::Not(other) => !other.holds(entry),
            Self::Match {
                path,
                test,
                negated,
            } => match_at(entry, path, test, *negated),
        }
    }
}

fn match_at(value: &Value, path: &[String], test: &Test, negated: bool) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return test.holds(value) != negated;
    };
    match value {
        Value::Array(values) => values
            .iter()
            .any(|value| match_at(value, path, test, negated)),
        _ => match_at(&value[first.as_str()], rest, test, negated),
    }
}

impl Test {
    /// What is absent is empty, 0 and false; a name that a map does not have is like no text.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text(wanted) => value.as_str().unwrap_or_default() == wanted,
            Self::Number(wanted) => value.as_i64().unwrap_or_default() == *wanted,
            Self::Truth(wanted) => value.as_bool().unwrap_or_default() == *wanted,
            Self::Has(wanted) => match value {
                Value::String(text) => text.contains(wanted.as_str()),
                Value::Array(texts) => texts.iter().any(|text| text == wanted.as_str()),
                Value::Object(map) => map.contains_key(wanted),
                _ => false,
            },
            Self::Empty => match value {
                Value::Array(values) => values.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => true,
            },
            Self::Matches(pattern) => value.as_str().is_some_and(|text| pattern.is_match(text)),
        }
    }
}
