//! Two versions of a consumer's contract.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Changes;
use crate::matching::{shown, type_of};
use crate::model::{Body, Exchange, HttpExchange, Interaction, MediaType, Message, Pact, Response};
use crate::path::{Path, Token};
use crate::rule::{Rule, RuleList};
use crate::rules::Category;

pub(super) fn compare(old: &Pact, new: &Pact) -> Changes {
    let mut changes = Changes::default();
    for (role, was, is) in [
        ("consumer", &old.consumer, &new.consumer),
        ("provider", &old.provider, &new.provider),
    ] {
        if was != is {
            changes.put(true, role, format!("was `{was}`, is `{is}`"));
        }
    }
    let find = |pact: &Pact, like: &Interaction| {
        let key = like.sort_key();
        pact.interactions
            .iter()
            .find(|other| other.sort_key() == key)
            .cloned()
    };
    for was in &old.interactions {
        match find(new, was) {
            None => changes.put(false, was.title(), "is not needed any more"),
            Some(is) => interaction(&mut changes, was, &is),
        }
    }
    for is in &new.interactions {
        if find(old, is).is_none() {
            changes.put(true, is.title(), "is needed newly");
        }
    }
    changes
}

fn interaction(changes: &mut Changes, was: &Interaction, is: &Interaction) {
    let title = was.title();
    if was.pending && !is.pending {
        changes.put(true, &title, "is pending no more");
    }
    match (&was.exchange, &is.exchange) {
        (Exchange::Http(was), Exchange::Http(is)) => http(changes, &title, was, is),
        (Exchange::Message(was), Exchange::Message(is)) => message(changes, &title, was, is),
        _ => changes.put(
            true,
            title,
            "was a call, is an event, or the other way round",
        ),
    }
}

fn http(changes: &mut Changes, title: &str, was: &HttpExchange, is: &HttpExchange) {
    let mut plain = |place: &str, was: Value, is: Value| {
        if was != is {
            let text = format!("was {}, is {}", shown(&was), shown(&is));
            changes.put(true, format!("{title} request {place}"), text);
        }
    };
    let (from, to) = (&was.request, &is.request);
    plain("$.method", json!(from.method), json!(to.method));
    plain("$.path", json!(from.path), json!(to.path));
    plain("$.query", json!(from.query), json!(to.query));
    let fields = |headers: &crate::model::Headers| -> Value {
        headers
            .iter()
            .map(|(name, values)| (name.to_lowercase(), json!(values)))
            .collect()
    };
    plain("$.headers", fields(&from.headers), fields(&to.headers));
    let body = |body: &Body, rules: &Category| match body {
        Body::Present { .. } => of_body(body, rules),
        _ => Needs::new(),
    };
    needs(
        changes,
        &format!("{title} request $.body"),
        &body(&from.body, &from.rules.body),
        &body(&to.body, &to.rules.body),
        // What is not sent any more may have been needed.
        true,
    );
    responses(
        changes,
        &format!("{title} response"),
        &was.response,
        &is.response,
    );
}

fn responses(changes: &mut Changes, title: &str, was: &Response, is: &Response) {
    let mut part = |name: &str, of: fn(&Response) -> Needs| {
        needs(
            changes,
            &format!("{title} $.{name}"),
            &of(was),
            &of(is),
            false,
        );
    };
    part("status", of_status);
    part("headers", of_headers);
    part("body", |response| {
        of_body(&response.body, &response.rules.body)
    });
    let place = format!("{title} $.body");
    media_types(changes, place, was.media_type(), is.media_type());
}

fn message(changes: &mut Changes, title: &str, was: &Message, is: &Message) {
    let mut part = |name: &str, of: fn(&Message) -> Needs| {
        needs(
            changes,
            &format!("{title} $.{name}"),
            &of(was),
            &of(is),
            false,
        );
    };
    part("metadata", of_metadata);
    part("contents", |message| {
        of_body(&message.contents, &message.rules.body)
    });
    let place = format!("{title} $.contents");
    media_types(changes, place, was.media_type(), is.media_type());
}

fn media_types(
    changes: &mut Changes,
    place: String,
    was: Option<MediaType>,
    is: Option<MediaType>,
) {
    if let (Some(was), Some(is)) = (was, is)
        && was != is
    {
        changes.put(true, place, format!("the type was {was}, is {is}"));
    }
}

/// Compares what is needed of each place. `removal_breaks`: of what is sent.
fn needs(changes: &mut Changes, root: &str, was: &Needs, is: &Needs, removal_breaks: bool) {
    let at = |place: &Path| format!("{root}{}", &place.to_string()[1..]);
    for (place, old) in was {
        match is.get(place) {
            None => {
                let text = if removal_breaks {
                    "is not sent any more"
                } else {
                    "is not needed any more"
                };
                changes.put(removal_breaks, at(place), text);
            }
            Some(new) if new.kind != old.kind => {
                let text = format!("was {}, is {}", old.kind, new.kind);
                changes.put(true, at(place), text);
            }
            Some(new) if new.asked != old.asked => {
                let (was, is) = (shown(&old.asked), shown(&new.asked));
                changes.put(true, at(place), format!("asked for {was}, now for {is}"));
            }
            Some(_) => {}
        }
    }
    for place in is.keys().filter(|place| !was.contains_key(place)) {
        let text = if removal_breaks {
            "is sent newly"
        } else {
            "is needed newly"
        };
        changes.put(true, at(place), text);
    }
}

/// What a contract says of each place.
type Needs = BTreeMap<Path, Need>;

/// What a contract says of one place.
struct Need {
    kind: &'static str,
    /// The rules; the value itself if there is none.
    asked: Value,
}

impl Need {
    /// `cascaded`: the rules were given for a place above, where bounds of a length hold only.
    fn new(example: &Value, rules: Option<(&RuleList, bool)>) -> Self {
        let kind = type_of(example);
        let Some((list, cascaded)) = rules else {
            let asked = match example {
                // Its parts say what is asked.
                Value::Object(_) => Value::Null,
                Value::Array(list) => json!({ "items": list.len() }),
                value => json!({ "value": value }),
            };
            return Self { kind, asked };
        };
        let rules = list.rules.iter().map(|rule| match rule {
            Rule::Length { .. } if cascaded => Rule::Type.to_json(),
            rule => rule.to_json(),
        });
        let combine = if list.any { "any" } else { "all" };
        let mut asked = json!({ combine: rules.collect::<Vec<_>>() });
        let is_scalar = !example.is_object() && !example.is_array();
        let of_example = |rule: &Rule| match rule {
            Rule::Equality | Rule::ArrayContains(_) => true,
            Rule::Values => is_scalar,
            _ => false,
        };
        if list.rules.iter().any(of_example) {
            asked["value"] = example.clone();
        }
        Self { kind, asked }
    }
}

fn of_status(response: &Response) -> Needs {
    let rules = response.rules.status.only();
    let need = Need::new(&json!(response.status), rules.map(|list| (list, false)));
    Needs::from([(Path::root(), need)])
}

fn of_headers(response: &Response) -> Needs {
    let needs = response.headers.iter().map(|(name, values)| {
        let name = name.to_lowercase();
        let rules = &response.rules.header;
        let rules = rules.of_name(&name, |rule, name| rule == name);
        let need = Need::new(&json!(values.join(", ")), rules.map(|list| (list, false)));
        (Path::root().field(&name), need)
    });
    needs.collect()
}

fn of_metadata(message: &Message) -> Needs {
    let needs = message.metadata.iter().map(|(key, example)| {
        let place = Path::root().field(key);
        let best = message.rules.metadata.best(&place);
        let need = Need::new(example, best.map(|best| (best.list, best.cascaded)));
        (place, need)
    });
    needs.collect()
}

/// Every place of a body; the items of a list that has a rule under one.
fn of_body(body: &Body, rules: &Category) -> Needs {
    let mut places = Needs::new();
    match body {
        Body::Missing => {}
        Body::Empty | Body::Null => {
            let (kind, asked) = ("nothing", Value::Null);
            places.insert(Path::root(), Need { kind, asked });
        }
        Body::Present { bytes, .. } => {
            let text = || Value::from(String::from_utf8_lossy(bytes).into_owned());
            let value = serde_json::from_slice(bytes).unwrap_or_else(|_| text());
            walk(&Path::root(), &Path::root(), &value, rules, &mut places);
        }
    }
    places
}

fn walk(place: &Path, real: &Path, value: &Value, rules: &Category, places: &mut Needs) {
    let best = rules.best(real);
    let is_ruled = best.is_some();
    let need = Need::new(value, best.map(|best| (best.list, best.cascaded)));
    // Of items under one place the first says most.
    places.entry(place.clone()).or_insert(need);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                walk(&place.field(key), &real.field(key), value, rules, places);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let real = real.index(index);
                let place = match is_ruled {
                    true => place.with(Token::StarIndex),
                    false => place.index(index),
                };
                walk(&place, &real, item, rules, places);
            }
        }
        _ => {}
    }
}
