//! Generators: values that are made anew when an example is used.
//!
//! Those of a request are applied when the provider is verified, those of a response when a mock
//! answers. A generator that this version does not know leaves the example as it is; it changes no
//! verdict.

use std::collections::BTreeMap;

use ieum_base::{Clock, Rng};
use jiff::Zoned;
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::model::{Body, Request, Response};
use crate::moment::Format;
use crate::path::{Path, Token};
use crate::rule::Moment;

/// What is made anew, by part and place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generators(BTreeMap<String, BTreeMap<Path, Value>>);

impl Generators {
    /// Reads `{"body": {"$.id": {"type": "Uuid"}}, "path": {…}}`.
    pub(crate) fn of_json(value: &Value) -> Result<Self> {
        let mut parts = BTreeMap::new();
        for (part, entries) in value.as_object().into_iter().flatten() {
            let Some(map) = entries.as_object() else {
                continue;
            };
            let mut places = BTreeMap::new();
            if map.contains_key("type") {
                places.insert(Path::empty(), entries.clone());
            } else {
                for (place, generator) in map {
                    let path = match part.as_str() {
                        "body" | "contents" | "content" => Path::parse(place)?,
                        _ => Path::root().field(place.trim_start_matches("$.")),
                    };
                    places.insert(path, generator.clone());
                }
            }
            parts.insert(part.clone(), places);
        }
        Ok(Self(parts))
    }

    /// As in a file of version 4; `None` if there are none.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let parts = self.0.iter().map(|(part, places)| {
            let places = places.iter().map(|(path, generator)| match path.tokens() {
                [] => (String::new(), generator.clone()),
                [_, Token::Field(name)] if part != "body" && part != "contents" => {
                    (name.clone(), generator.clone())
                }
                _ => (path.to_string(), generator.clone()),
            });
            let map: Map<String, Value> = places.collect();
            match map.get("") {
                Some(only) => (part.clone(), only.clone()),
                None => (part.clone(), Value::Object(map)),
            }
        });
        (!self.0.is_empty()).then(|| Value::Object(parts.collect()))
    }

    /// Adds one.
    pub(crate) fn add(&mut self, part: &str, place: Path, generator: Value) {
        self.0
            .entry(part.to_owned())
            .or_default()
            .insert(place, generator);
    }

    fn of(&self, part: &str) -> impl Iterator<Item = (&Path, &Value)> {
        self.0.get(part).into_iter().flatten()
    }
}

/// Where values come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    /// What the provider answered when its states were set up, over the states' own parameters.
    pub(crate) states: Map<String, Value>,
    /// Where a mock listens; empty for a provider.
    pub(crate) base_url: String,
}

impl Source {
    /// A source for the present moment.
    pub(crate) fn new(clock: Clock, rng: Rng) -> Self {
        Self {
            clock,
            rng,
            states: Map::new(),
            base_url: String::new(),
        }
    }

    /// The request with fresh values.
    pub(crate) fn request(&self, example: &Request) -> Request {
        let mut request = example.clone();
        let generators = &example.generators;
        for (_, generator) in generators.of("path") {
            if let Some(value) = self.make(generator) {
                request.path = text(&value);
            }
        }
        for (place, generator) in generators.of("query") {
            if let (Some(name), Some(value)) = (name(place), self.make(generator)) {
                request.query.insert(name.to_owned(), vec![text(&value)]);
            }
        }
        for (place, generator) in generators.of("header") {
            if let (Some(name), Some(value)) = (name(place), self.make(generator)) {
                request.headers.set(name, &text(&value));
            }
        }
        request.body = self.body(&example.body, generators);
        request
    }

    /// The response with fresh values.
    pub(crate) fn response(&self, example: &Response) -> Response {
        let mut response = example.clone();
        for (place, generator) in example.generators.of("header") {
            if let (Some(name), Some(value)) = (name(place), self.make(generator)) {
                response.headers.set(name, &text(&value));
            }
        }
        response.body = self.body(&example.body, &example.generators);
        response
    }

    fn body(&self, example: &Body, generators: &Generators) -> Body {
        let Body::Present { bytes, media_type } = example else {
            return example.clone();
        };
        let mut places = generators.of("body").peekable();
        let parsed = places
            .peek()
            .and_then(|_| serde_json::from_slice::<Value>(bytes).ok());
        let Some(mut value) = parsed else {
            return example.clone();
        };
        for (place, generator) in places {
            replace(
                &mut value,
                &place.tokens()[1.min(place.tokens().len())..],
                &|| self.make(generator),
            );
        }
        Body::Present {
            bytes: value.to_string().into(),
            media_type: media_type.clone(),
        }
    }

    /// A fresh value; `None` if the generator is not known, or has nothing to make it from.
    fn make(&self, generator: &Value) -> Option<Value> {
        let number = |key: &str, otherwise: i64| generator[key].as_i64().unwrap_or(otherwise);
        let moment = |kind: Moment| {
            let format = generator["format"]
                .as_str()
                .filter(|format| !format.is_empty());
            let format = Format::parse(format.unwrap_or(kind.default_format())).ok()?;
            // An expression moves the moment; that is not done, and the example stays.
            generator["expression"]
                .is_null()
                .then(|| json!(format.write(&self.now())))
        };
        match generator["type"].as_str()? {
            "RandomInt" => {
                let (least, most) = (number("min", 0), number("max", 10));
                let span = usize::try_from(most.checked_sub(least)?)
                    .ok()?
                    .checked_add(1)?;
                Some(json!(least + i64::try_from(self.rng.below(span)).ok()?))
            }
            "RandomBoolean" => Some(json!(self.rng.below(2) == 1)),
            "RandomDecimal" => self.decimal(number("digits", 10)),
            "RandomHexadecimal" => self.letters(number("digits", 10), b"0123456789ABCDEF"),
            "RandomString" => self.letters(
                number("size", 10),
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            ),
            "Uuid" => Some(json!(uuid(&self.clock, generator["format"].as_str()))),
            "Date" => moment(Moment::Date),
            "Time" => moment(Moment::Time),
            "DateTime" => moment(Moment::DateTime),
            "ProviderState" => self.of_state(generator),
            "MockServerURL" if !self.base_url.is_empty() => self.url(generator),
            _ => None,
        }
    }

    fn now(&self) -> Zoned {
        let micros = self.clock.now().as_micros();
        let now = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
        now.to_zoned(jiff::tz::TimeZone::UTC)
    }

    fn letters(&self, count: i64, alphabet: &[u8]) -> Option<Value> {
        let count = usize::try_from(count).ok()?.min(MOST_LETTERS);
        let letter = |_| char::from(alphabet[self.rng.below(alphabet.len())]);
        Some(json!((0..count).map(letter).collect::<String>()))
    }

    fn decimal(&self, digits: i64) -> Option<Value> {
        let digits = digits.clamp(2, 15);
        let whole = self.rng.below(9) + 1;
        let rest: String = (1..digits - 1).map(|_| self.digit()).collect();
        serde_json::from_str(&format!("{whole}.{rest}{}", self.rng.below(9) + 1)).ok()
    }

    fn digit(&self) -> char {
        char::from(b'0' + u8::try_from(self.rng.below(10)).unwrap_or(0))
    }

    /// `${name}` in an expression becomes the state's value; alone it keeps its type.
    fn of_state(&self, generator: &Value) -> Option<Value> {
        let expression = generator["expression"].as_str()?;
        if let Some(only) = expression
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            && let Some(value) = self.states.get(only)
        {
            return Some(value.clone());
        }
        if let Some(value) = self.states.get(expression) {
            return Some(value.clone());
        }
        let mut made = expression.to_owned();
        for (name, value) in &self.states {
            made = made.replace(&format!("${{{name}}}"), &text(value));
        }
        (!made.contains("${")).then_some(Value::String(made))
    }

    /// The example's path under the mock's own address.
    fn url(&self, generator: &Value) -> Option<Value> {
        let pattern = fancy_regex::Regex::new(generator["regex"].as_str()?).ok()?;
        let found = pattern.captures(generator["example"].as_str()?).ok()??;
        let path = found.get(1)?.as_str();
        let base = self.base_url.trim_end_matches('/');
        Some(json!(format!("{base}/{}", path.trim_start_matches('/'))))
    }
}

/// The most letters that a random text has.
const MOST_LETTERS: usize = 65_536;

fn uuid(clock: &Clock, format: Option<&str>) -> String {
    let id = clock.new_id();
    match format {
        Some("simple") => id.simple().to_string(),
        Some("upper-case-hyphenated") => id.hyphenated().to_string().to_uppercase(),
        Some("URN") => id.urn().to_string(),
        _ => id.hyphenated().to_string(),
    }
}

/// Replaces each value that the rest of a path stands for.
fn replace(value: &mut Value, path: &[Token], make: &dyn Fn() -> Option<Value>) {
    let Some((token, rest)) = path.split_first() else {
        if let Some(made) = make() {
            *value = made;
        }
        return;
    };
    match (token, value) {
        (Token::Field(name), Value::Object(map)) => {
            if let Some(value) = map.get_mut(name) {
                replace(value, rest, make);
            }
        }
        (Token::Index(index), Value::Array(list)) => {
            if let Some(value) = list.get_mut(*index) {
                replace(value, rest, make);
            }
        }
        (Token::Star | Token::StarIndex, Value::Array(list)) => {
            list.iter_mut().for_each(|value| replace(value, rest, make));
        }
        (Token::Star, Value::Object(map)) => {
            map.values_mut()
                .for_each(|value| replace(value, rest, make));
        }
        _ => {}
    }
}

fn name(place: &Path) -> Option<&str> {
    place.tokens().iter().find_map(|token| match token {
        Token::Field(name) => Some(name.as_str()),
        _ => None,
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_with_fresh_values_at_every_place() {
        let generators = json!({
            "path": { "type": "ProviderState", "expression": "/users/${id}" },
            "query": { "n": { "type": "RandomInt", "min": 5, "max": 5 } },
            "body": { "$.items[*].id": { "type": "Uuid" }, "$.n": { "type": "ProviderState", "expression": "${count}" } },
        });
        let mut source = Source::new(Clock::system(), Rng::seeded(1));
        source.states.insert("id".into(), json!("kim"));
        source.states.insert("count".into(), json!(7));
        let example = Request {
            body: Body::json(&json!({ "items": [{ "id": "a" }, { "id": "a" }], "n": 1, "k": 2 })),
            generators: Generators::of_json(&generators).expect("generators"),
            ..Request::default()
        };
        let request = source.request(&example);
        assert_eq!(request.path, "/users/kim");
        assert_eq!(request.query["n"], ["5"]);
        let body: Value = serde_json::from_slice(&request.body.bytes()).expect("json");
        assert_eq!((&body["n"], &body["k"]), (&json!(7), &json!(2)));
        assert_ne!(body["items"][0]["id"], body["items"][1]["id"]);
        assert_eq!(example.generators.to_json(), Some(generators));
    }

    #[test]
    fn what_cannot_be_made_leaves_the_example() {
        let source = Source::new(Clock::system(), Rng::seeded(1));
        assert_eq!(source.make(&json!({ "type": "Plugin" })), None);
        let unknown = json!({ "type": "ProviderState", "expression": "/${nobody}" });
        assert_eq!(source.make(&unknown), None);
    }
}
