//! Takes JSON with matchers in it apart: the example, the rules and the generators.

use serde_json::{Map, Value, json};

use super::matchers::{GENERATOR, MATCHER};
use crate::error::Result;
use crate::path::{Path, Token};
use crate::rule::{Each, Rule, Variant};
use crate::rules::Category;

/// What is in a value with matchers.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) rules: Category,
    pub(super) generators: Vec<(Path, Value)>,
}

impl Parts {
    /// The example of `value`, whose place is `place`; its rules are added.
    pub(super) fn take(&mut self, place: &Path, value: &Value) -> Result<Value> {
        match value {
            Value::Object(map) if map.contains_key(MATCHER) => self.matcher(place, map),
            Value::Object(map) => {
                let fields = map
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.take(&place.field(key), value)?)));
                Ok(Value::Object(fields.collect::<Result<_>>()?))
            }
            Value::Array(list) => {
                let items = list.iter().enumerate();
                let items = items.map(|(index, item)| self.take(&place.index(index), item));
                Ok(Value::Array(items.collect::<Result<_>>()?))
            }
            other => Ok(other.clone()),
        }
    }

    fn matcher(&mut self, place: &Path, map: &Map<String, Value>) -> Result<Value> {
        self.generator(place, map);
        match map[MATCHER].as_str() {
            Some("arrayContains") => self.variants(place, &map["variants"]),
            Some("ieum:map") => self.map(place, &map["key"], &map["value"]),
            _ => {
                let rule = Rule::of_json(&Value::Object(map.clone()))?;
                let example = map.get("example").or_else(|| map.get("value"));
                let example = example.cloned().unwrap_or_default();
                let cascades = matches!(rule, Rule::Type | Rule::Length { .. });
                self.rules.add(place.clone(), rule);
                match example {
                    // Under a type, every item is like the first.
                    Value::Array(items) if cascades => self.items(place, &items),
                    example => self.take(place, &example),
                }
            }
        }
    }

    fn items(&mut self, place: &Path, items: &[Value]) -> Result<Value> {
        let any = place.with(Token::StarIndex);
        let Some(first) = items.first() else {
            return Ok(json!([]));
        };
        let first = self.take(&any, first)?;
        let mut unused = Self::default();
        let rest = items[1..].iter().map(|item| unused.take(&any, item));
        let rest = rest.collect::<Result<Vec<_>>>()?;
        Ok(Value::Array(std::iter::once(first).chain(rest).collect()))
    }

    fn variants(&mut self, place: &Path, variants: &Value) -> Result<Value> {
        let mut examples = Vec::new();
        let mut rules = Vec::new();
        for (index, variant) in variants.as_array().into_iter().flatten().enumerate() {
            let mut parts = Self::default();
            examples.push(parts.take(&Path::root(), variant)?);
            rules.push(Variant {
                index,
                rules: parts.rules,
            });
        }
        self.rules.add(place.clone(), Rule::ArrayContains(rules));
        Ok(Value::Array(examples))
    }

    fn map(&mut self, place: &Path, key: &Value, value: &Value) -> Result<Value> {
        let (mut of_key, mut of_value) = (Self::default(), Self::default());
        let key = of_key.take(&Path::root(), key)?;
        let example = of_value.take(&Path::root(), value)?;
        let own = |parts: &Self| -> Vec<Rule> {
            let root = Path::root();
            parts.rules.exactly(&root).cloned().collect()
        };
        let each = |example: &Value, rules| Each {
            example: example.clone(),
            rules,
        };
        self.rules
            .add(place.clone(), Rule::EachKey(each(&key, own(&of_key))));
        let below = |(path, _): (&Path, _)| path.tokens().len() > 1;
        if of_value.rules.iter().any(below) {
            // The rules of `eachValue` end at the value itself: those below it stand by path.
            self.rules.add(place.clone(), Rule::Values);
            for (path, list) in of_value.rules.iter() {
                let tokens = path.tokens().iter().skip(1).cloned();
                let place = tokens.fold(place.with(Token::Star), |path, token| path.with(token));
                for rule in &list.rules {
                    self.rules.add(place.clone(), rule.clone());
                }
            }
        } else {
            let rule = Rule::EachValue(each(&example, own(&of_value)));
            self.rules.add(place.clone(), rule);
        }
        let name = key.as_str().unwrap_or("key").to_owned();
        Ok(Value::Object([(name, example)].into_iter().collect()))
    }

    fn generator(&mut self, place: &Path, map: &Map<String, Value>) {
        let Some(name) = map.get(GENERATOR) else {
            return;
        };
        // What the matcher beside it says is not the generator's.
        let own = ["expression", "dataType"];
        let rest = map.iter().filter(|(key, _)| own.contains(&key.as_str()));
        let mut generator: Map<String, Value> = rest
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        generator.insert("type".into(), name.clone());
        self.generators
            .push((place.clone(), Value::Object(generator)));
    }
}

/// A text with at most one matcher around it: of a path, a header, a parameter.
pub(super) fn text(value: &Value) -> Result<(String, Vec<Rule>, Vec<Value>)> {
    let mut parts = Parts::default();
    let root = Path::root();
    let example = match parts.take(&root, value)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let rules = parts.rules.exactly(&root).cloned().collect();
    let generators = parts.generators.into_iter().map(|(_, generator)| generator);
    Ok((example, rules, generators.collect()))
}
