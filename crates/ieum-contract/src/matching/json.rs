//! JSON bodies: the example and what came are walked together, and the best rule of each place is
//! asked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::value::{follows, length, same_type};
use super::{Context, Mismatch, judge, shown};
use crate::path::{Path, Token};
use crate::rule::{Each, Rule, Variant};
use crate::rules::Category;

/// Compares a value with its example at a place.
pub(super) fn compare(
    context: Context<'_>,
    place: &Path,
    example: &Value,
    actual: &Value,
) -> Vec<Mismatch> {
    match (example, actual) {
        (Value::Object(example), Value::Object(actual)) => objects(context, place, example, actual),
        (Value::Array(example), Value::Array(actual)) => lists(context, place, example, actual),
        (Value::Object(_) | Value::Array(_), _) => {
            let wrong = same_type(example, actual).err();
            wrong
                .map(|text| context.mismatch(place, text))
                .into_iter()
                .collect()
        }
        _ => scalars(context, place, example, actual),
    }
}

fn scalars(context: Context<'_>, place: &Path, example: &Value, actual: &Value) -> Vec<Mismatch> {
    let ask = |rule: &Rule, cascaded: bool| -> Vec<Mismatch> {
        let wrong = follows(rule, example, actual, cascaded).err();
        wrong
            .map(|text| context.mismatch(place, text))
            .into_iter()
            .collect()
    };
    match context.rules.best(place) {
        Some(best) => judge(best.list, |rule| ask(rule, best.cascaded)),
        None => ask(&Rule::Equality, false),
    }
}

type Object = Map<String, Value>;

fn objects(context: Context<'_>, place: &Path, example: &Object, actual: &Object) -> Vec<Mismatch> {
    if example.is_empty() && context.strict && !actual.is_empty() {
        let text = format!(
            "expected an empty object, was {}",
            shown(&Value::Object(actual.clone()))
        );
        return vec![context.mismatch(place, text)];
    }
    let Some(best) = context.rules.best(place) else {
        let mut found = keys(context, place, example, actual);
        found.extend(shared_fields(context, place, example, actual));
        return found;
    };
    let ask = |rule: &Rule| match rule {
        Rule::Values if !best.cascaded => any_fields(context, place, example, actual),
        Rule::ArrayContains(_) if !best.cascaded => any_fields(context, place, example, actual),
        Rule::EachValue(each) if !best.cascaded => {
            let rules = of_each(place, each);
            any_fields(context.with(&rules), place, example, actual)
        }
        rule => {
            let wrong = object_follows(rule, example, actual, best.cascaded).err();
            let mut found: Vec<_> = wrong
                .map(|text| context.mismatch(place, text))
                .into_iter()
                .collect();
            found.extend(keys(context, place, example, actual));
            found.extend(shared_fields(context, place, example, actual));
            found
        }
    };
    // The rules of an object are asked one by one: all of them hold.
    let mut found: Vec<Mismatch> = Vec::new();
    for mismatch in best.list.rules.iter().flat_map(ask) {
        if !found.contains(&mismatch) {
            found.push(mismatch);
        }
    }
    found
}

/// Rules that were given for a collection's values, as rules of their places.
fn of_each(place: &Path, each: &Each) -> Category {
    Category::all(place.with(Token::Star), each.rules.clone())
}

/// What a rule says of the object itself.
fn object_follows(
    rule: &Rule,
    example: &Object,
    actual: &Object,
    cascaded: bool,
) -> Result<(), String> {
    match rule {
        Rule::Length { min, max } if !cascaded => length(actual.len(), *min, *max),
        Rule::Equality if example != actual => Err(format!(
            "expected {}, was {}",
            shown(&Value::Object(example.clone())),
            shown(&Value::Object(actual.clone()))
        )),
        Rule::NotEmpty if actual.is_empty() => Err("expected an object that is not empty".into()),
        Rule::Type
        | Rule::Length { .. }
        | Rule::Equality
        | Rule::NotEmpty
        | Rule::Regex(_)
        | Rule::ArrayContains(_)
        | Rule::EachKey(_)
        | Rule::EachValue(_)
        | Rule::Values => Ok(()),
        _ => {
            let name = rule.to_json()["match"].to_string();
            Err(format!("expected {name}, was an object"))
        }
    }
}

/// Whether the fields are those of the example, and follow the rules for keys.
fn keys(context: Context<'_>, place: &Path, example: &Object, actual: &Object) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if !context.rules.exactly(place).any(Rule::frees_keys) {
        let missing = example.keys().filter(|key| !actual.contains_key(*key));
        found.extend(missing.map(|key| {
            let text = format!("expected {}, but it is missing", shown(&example[key]));
            context.mismatch(&place.field(key), text)
        }));
        let more = actual
            .keys()
            .filter(|key| context.strict && !example.contains_key(*key));
        found.extend(more.map(|key| context.mismatch(&place.field(key), "is not expected")));
    }
    let Some(best) = context.rules.best(place).filter(|best| !best.cascaded) else {
        return found;
    };
    for rule in &best.list.rules {
        let Rule::EachKey(each) = rule else { continue };
        for key in actual.keys() {
            let wrong = each
                .rules
                .iter()
                .filter_map(|rule| super::text::follows(rule, "", key).err());
            found.extend(
                wrong.map(|text| context.mismatch(&place.field(key), format!("the key: {text}"))),
            );
        }
    }
    found
}

/// Compares the fields that both have.
fn shared_fields(
    context: Context<'_>,
    place: &Path,
    example: &Object,
    actual: &Object,
) -> Vec<Mismatch> {
    let both = example
        .iter()
        .filter_map(|(key, value)| Some((key, value, actual.get(key)?)));
    both.flat_map(|(key, example, actual)| compare(context, &place.field(key), example, actual))
        .collect()
}

/// Compares each field that came with the example's, or with the example's first.
fn any_fields(
    context: Context<'_>,
    place: &Path,
    example: &Object,
    actual: &Object,
) -> Vec<Mismatch> {
    // The first by name, so that it does not depend on how objects are kept.
    let first = example.keys().collect::<BTreeSet<_>>().into_iter().next();
    let Some(first) = first.and_then(|key| example.get(key)) else {
        return Vec::new();
    };
    let each = actual.iter().flat_map(|(key, value)| {
        compare(
            context,
            &place.field(key),
            example.get(key).unwrap_or(first),
            value,
        )
    });
    each.collect()
}

fn lists(context: Context<'_>, place: &Path, example: &[Value], actual: &[Value]) -> Vec<Mismatch> {
    let Some(best) = context.rules.best(place) else {
        return plain_lists(context, place, example, actual);
    };
    if example.is_empty() {
        return Vec::new();
    }
    judge(best.list, |rule| match rule {
        Rule::ArrayContains(variants) => contains(context, place, variants, example, actual),
        Rule::EachValue(_) if best.cascaded => Vec::new(),
        Rule::EachValue(each) => {
            let rules = of_each(place, each);
            items(context.with(&rules), place, example, actual)
        }
        rule => {
            let wrong = list_follows(rule, example, actual, best.cascaded).err();
            let mut found: Vec<_> = wrong
                .map(|text| context.mismatch(place, text))
                .into_iter()
                .collect();
            found.extend(items(context, place, example, actual));
            found
        }
    })
}

/// Lists without a rule: the same length, and each item like the example's.
fn plain_lists(
    context: Context<'_>,
    place: &Path,
    example: &[Value],
    actual: &[Value],
) -> Vec<Mismatch> {
    let pairs = example.iter().zip(actual).enumerate();
    let mut found: Vec<Mismatch> = pairs
        .flat_map(|(index, (example, actual))| {
            compare(context, &place.index(index), example, actual)
        })
        .collect();
    if example.len() != actual.len() {
        let text = format!("expected {} items, was {}", example.len(), actual.len());
        found.push(context.mismatch(place, text));
    }
    found
}

/// What a rule says of the list itself.
fn list_follows(
    rule: &Rule,
    example: &[Value],
    actual: &[Value],
    cascaded: bool,
) -> Result<(), String> {
    match rule {
        Rule::Length { min, max } if !cascaded => length(actual.len(), *min, *max),
        Rule::Equality if example != actual => Err(format!(
            "expected {}, was {}",
            shown(&Value::from(example)),
            shown(&Value::from(actual))
        )),
        Rule::NotEmpty if actual.is_empty() => Err("expected a list that is not empty".into()),
        Rule::Null | Rule::StatusCode(_) => Err("expected something else, was a list".into()),
        _ => Ok(()),
    }
}

/// Each item is like the example's at its place, or like the example's first.
fn items(context: Context<'_>, place: &Path, example: &[Value], actual: &[Value]) -> Vec<Mismatch> {
    let Some(first) = example.first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, value) in actual.iter().enumerate() {
        let example = example.get(index).unwrap_or(first);
        found.extend(compare(context, &place.index(index), example, value));
    }
    for (index, example) in example.iter().enumerate().skip(actual.len()) {
        let place = place.index(index);
        if !context.rules.has(&place) {
            let text = format!("expected {}, but it is missing", shown(example));
            found.push(context.mismatch(&place, text));
        }
    }
    found
}

/// For each variant there is an item that is like it.
fn contains(
    context: Context<'_>,
    place: &Path,
    variants: &[Variant],
    example: &[Value],
    actual: &[Value],
) -> Vec<Mismatch> {
    let each: Vec<Variant>;
    let variants = if variants.is_empty() {
        let all = (0..example.len()).map(|index| Variant {
            index,
            rules: Category::equality(),
        });
        each = all.collect();
        &each
    } else {
        variants
    };
    let mut found = Vec::new();
    for variant in variants {
        let Some(wanted) = example.get(variant.index) else {
            let text = format!("variant {} is not in the example", variant.index);
            found.push(context.mismatch(place, text));
            continue;
        };
        let context_of_variant = context.with(&variant.rules);
        let is_like =
            |item: &&Value| compare(context_of_variant, &Path::root(), wanted, item).is_empty();
        if actual.iter().find(is_like).is_none() {
            let text = format!("expected an item like {}, but there is none", shown(wanted));
            found.push(context.mismatch(place, text));
        }
    }
    found
}
