//! Cases for two verifiers, made from a seed: an example, rules for some of its places, and an answer
//! that is the example with some of it changed.

use ieum_testkit::Reply;
use serde_json::{Map, Value, json};

/// One case.
pub(super) struct Case {
    pub(super) example: Value,
    pub(super) rules: Value,
    pub(super) answer: Value,
    /// The example of a header, its rule, and what came.
    header: Option<(Value, &'static str)>,
    /// A rule for the status, and what came.
    status: Option<(Value, u16)>,
}

/// Numbers from a seed (xorshift, Marsaglia 2003).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Texts that some rules take and others do not.
const TEXTS: [&str; 22] = [
    "",
    "a",
    "abc",
    "ABC",
    "12",
    "-3",
    "1.5",
    "true",
    "null",
    "kim@example.com",
    "2026-11-21",
    "2026-02-29",
    "16:30:00",
    "25:00:00",
    "2026-11-21T16:30:00Z",
    "2026-11-21T16:30:00+09:00",
    "2026-11-21T16:30:00.123Z",
    "1.2.3",
    "1.2.3-rc.1",
    "1.2",
    "한글",
    "a b",
];

const KEYS: [&str; 4] = ["a", "b", "id", "name"];

fn leaf(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => json!(i64::try_from(dice.below(200)).unwrap_or(0) - 100),
        1 => json!(f64::from(u32::try_from(dice.below(100)).unwrap_or(0)) + 0.25),
        2 => json!(dice.one_in(2)),
        3 => Value::Null,
        _ => json!(dice.of(&TEXTS)),
    }
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 1 } else { 5 }) {
        3 => (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect(),
        4 => {
            let fields =
                (0..dice.below(4)).map(|_| ((*dice.of(&KEYS)).to_owned(), value(dice, depth - 1)));
            Value::Object(fields.collect())
        }
        _ => leaf(dice),
    }
}

/// A rule without others in it.
fn simple(dice: &mut Dice) -> Value {
    let bound = dice.below(4);
    match dice.below(24) {
        0 => json!({ "match": "equality" }),
        1 => json!({ "match": "type", "min": bound }),
        2 => json!({ "match": "type", "max": bound }),
        3 => json!({ "match": "type", "min": bound, "max": bound + 1 }),
        4 => {
            json!({ "match": "regex", "regex": *dice.of(&["^[a-z]+$", "\\d", "^$", "a(?!b)", "^\\d{4}-\\d\\d"]) })
        }
        5 => json!({ "match": "include", "value": *dice.of(&["a", "1", "2026", ":"]) }),
        6 => json!({ "match": "integer" }),
        7 => json!({ "match": "decimal" }),
        8 => json!({ "match": "number" }),
        9 => json!({ "match": "boolean" }),
        10 => json!({ "match": "null" }),
        11 => json!({ "match": "date", "format": "yyyy-MM-dd" }),
        12 => json!({ "match": "time", "format": "HH:mm:ss" }),
        13 => {
            json!({ "match": "datetime", "format": *dice.of(&["yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd'T'HH:mm:ss.SSSX", "yyyy-MM-dd"]) })
        }
        14 => json!({ "match": "notEmpty" }),
        15 => json!({ "match": "semver" }),
        16 => json!({ "match": "values" }),
        _ => json!({ "match": "type" }),
    }
}

fn rule(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => json!({ "match": "eachKey", "rules": [simple_of_text(dice)] }),
        1 => json!({ "match": "eachValue", "rules": [simple(dice)] }),
        2 => {
            let at = |rule: Value| json!({ "combine": "AND", "matchers": [rule] });
            let variant = |dice: &mut Dice, index: usize| {
                let place = *dice.of(&["$", "$.a", "$.id"]);
                json!({ "index": index, "rules": { place: at(simple(dice)) } })
            };
            let count = dice.below(2) + 1;
            let variants: Vec<Value> = (0..count).map(|index| variant(dice, index)).collect();
            json!({ "match": "arrayContains", "variants": variants })
        }
        _ => simple(dice),
    }
}

/// A rule that is for keys.
fn simple_of_text(dice: &mut Dice) -> Value {
    json!({ "match": "regex", "regex": *dice.of(&["^[a-z]+$", "a", "^id$"]) })
}

/// The places of a value, some of them with a star.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                places(value, &format!("{at}.{key}"), found);
            }
            found.push(format!("{at}.*"));
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}[{index}]"), found);
                places(value, &format!("{at}[*]"), found);
            }
        }
        _ => {}
    }
}

/// The value with some of it changed.
fn changed(dice: &mut Dice, from: &Value, depth: usize) -> Value {
    if dice.one_in(9) {
        return value(dice, depth);
    }
    match from {
        Value::Object(map) => {
            let mut made = Map::new();
            for (key, value) in map {
                if !dice.one_in(12) {
                    made.insert(key.clone(), changed(dice, value, depth.saturating_sub(1)));
                }
            }
            if dice.one_in(6) {
                made.insert((*dice.of(&KEYS)).to_owned(), leaf(dice));
            }
            Value::Object(made)
        }
        Value::Array(list) => {
            let mut made: Vec<Value> = list
                .iter()
                .map(|value| changed(dice, value, depth.saturating_sub(1)))
                .collect();
            match dice.below(6) {
                0 => drop(made.pop()),
                1 => {
                    let more = made.first().cloned().unwrap_or_else(|| leaf(dice));
                    made.push(changed(dice, &more, 1));
                }
                _ => {}
            }
            Value::Array(made)
        }
        leaf_value => match dice.below(4) {
            0 => leaf(dice),
            // Of the same type, another value.
            1 => match leaf_value {
                Value::String(_) => json!(dice.of(&TEXTS)),
                Value::Number(number) if number.is_i64() => json!(number.as_i64().unwrap_or(0) + 1),
                other => other.clone(),
            },
            _ => leaf_value.clone(),
        },
    }
}

/// The next case.
pub(super) fn case(dice: &mut Dice) -> Case {
    let example = json!({ "v": value(dice, 3) });
    let mut all = Vec::new();
    places(&example, "$", &mut all);
    let mut rules = Map::new();
    for _ in 0..dice.below(4) {
        let place = dice.of(&all).clone();
        let count = if dice.one_in(5) { 2 } else { 1 };
        let matchers: Vec<Value> = (0..count).map(|_| rule(dice)).collect();
        let combine = if dice.one_in(4) { "OR" } else { "AND" };
        rules.insert(place, json!({ "combine": combine, "matchers": matchers }));
    }
    let answer = changed(dice, &example, 3);
    let header = dice.one_in(6).then(|| (simple(dice), *dice.of(&TEXTS)));
    let header = header.filter(|(_, came)| came.is_ascii() && !came.is_empty());
    let status = dice.one_in(8).then(|| {
        let class = *dice.of(&["success", "clientError", "error", "nonError", "redirect"]);
        (
            json!({ "match": "statusCode", "status": class }),
            *dice.of(&[200_u16, 201, 404, 500]),
        )
    });
    Case {
        example,
        rules: Value::Object(rules),
        answer,
        header,
        status,
    }
}

impl Case {
    /// The interaction of a Pact file of version 4.
    pub(super) fn interaction(&self, index: usize) -> Value {
        let list = |rule: &Value| json!({ "combine": "AND", "matchers": [rule] });
        let mut rules = Map::new();
        if self.rules.as_object().is_some_and(|map| !map.is_empty()) {
            rules.insert("body".into(), self.rules.clone());
        }
        let mut headers = json!({ "content-type": ["application/json"] });
        if let Some((rule, _)) = &self.header {
            headers["x-case"] = json!(["abc"]);
            rules.insert("header".into(), json!({ "x-case": list(rule) }));
        }
        if let Some((rule, _)) = &self.status {
            rules.insert("status".into(), list(rule));
        }
        json!({
            "type": "Synchronous/HTTP", "description": format!("case {index}"),
            "request": { "method": "GET", "path": format!("/case/{index}") },
            "response": {
                "status": 200, "headers": headers, "matchingRules": rules,
                "body": { "content": self.example, "contentType": "application/json", "encoded": false }
            }
        })
    }

    /// What the provider answers.
    pub(super) fn reply(&self) -> Reply {
        let status = self.status.as_ref().map_or(200, |(_, came)| *came);
        let mut reply = Reply::json_of(status, &self.answer);
        if let Some((_, came)) = &self.header {
            reply
                .headers
                .push(("x-case".to_owned(), (*came).to_owned()));
        }
        reply
    }
}
