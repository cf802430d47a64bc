//! Two versions of a consumer's contract.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Changes;
use crate::matching::shown;
use crate::model::{Body, Exchange, HttpExchange, Interaction, Message, Pact};
use crate::path::{Path, Token};
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
            changes.put(true, format!("{title} {place}"), text);
        }
    };
    let (from, to) = (&was.request, &is.request);
    plain("request $.method", json!(from.method), json!(to.method));
    plain("request $.path", json!(from.path), json!(to.path));
    plain("request $.query", json!(from.query), json!(to.query));
    let fields = |headers: &crate::model::Headers| -> Value {
        headers
            .iter()
            .map(|(name, values)| (name.to_lowercase(), json!(values)))
            .collect()
    };
    plain(
        "request $.headers",
        fields(&from.headers),
        fields(&to.headers),
    );
    plain(
        "response $.status",
        json!(was.response.status),
        json!(is.response.status),
    );
    plain(
        "response $.headers",
        fields(&was.response.headers),
        fields(&is.response.headers),
    );
    bodies(
        changes,
        &format!("{title} request $.body"),
        (&from.body, &from.rules.body),
        (&to.body, &to.rules.body),
        // What is not sent any more may have been needed.
        true,
    );
    bodies(
        changes,
        &format!("{title} response $.body"),
        (&was.response.body, &was.response.rules.body),
        (&is.response.body, &is.response.rules.body),
        false,
    );
}

fn message(changes: &mut Changes, title: &str, was: &Message, is: &Message) {
    for (key, wanted) in &is.metadata {
        match was.metadata.get(key) {
            None => changes.put(true, format!("{title} $.metadata.{key}"), "is needed newly"),
            Some(known) if known != wanted => {
                let text = format!("was {}, is {}", shown(known), shown(wanted));
                changes.put(true, format!("{title} $.metadata.{key}"), text);
            }
            Some(_) => {}
        }
    }
    for key in was
        .metadata
        .keys()
        .filter(|key| !is.metadata.contains_key(*key))
    {
        changes.put(
            false,
            format!("{title} $.metadata.{key}"),
            "is not needed any more",
        );
    }
    bodies(
        changes,
        &format!("{title} $.contents"),
        (&was.contents, &was.rules.body),
        (&is.contents, &is.rules.body),
        false,
    );
}

fn bodies(
    changes: &mut Changes,
    root: &str,
    was: (&Body, &Category),
    is: (&Body, &Category),
    removal_breaks: bool,
) {
    let (was, is) = (flat(was.0, was.1), flat(is.0, is.1));
    let at = |place: &Path| format!("{root}{}", &place.to_string()[1..]);
    for (place, old) in &was {
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
                changes.put(
                    true,
                    at(place),
                    format!("was {}, is {}", old.kind, new.kind),
                );
            }
            Some(new) if new.asked != old.asked => {
                let text = format!(
                    "asked for {}, now for {}",
                    shown(&old.asked),
                    shown(&new.asked)
                );
                changes.put(true, at(place), text);
            }
            Some(_) => {}
        }
    }
    for place in is.keys().filter(|place| !was.contains_key(*place)) {
        let text = if removal_breaks {
            "is sent newly"
        } else {
            "is needed newly"
        };
        changes.put(true, at(place), text);
    }
}

/// What a contract says of one place.
struct Need {
    kind: &'static str,
    /// The rules; the value itself if there is none.
    asked: Value,
}

/// Every place of a body; the items of a list under one.
fn flat(body: &Body, rules: &Category) -> BTreeMap<Path, Need> {
    let mut places = BTreeMap::new();
    if let Body::Present { bytes, .. } = body {
        let text = || Value::from(String::from_utf8_lossy(bytes).into_owned());
        let value = serde_json::from_slice(bytes).unwrap_or_else(|_| text());
        walk(&Path::root(), &Path::root(), &value, rules, &mut places);
    }
    places
}

fn walk(
    place: &Path,
    real: &Path,
    value: &Value,
    rules: &Category,
    places: &mut BTreeMap<Path, Need>,
) {
    let best = rules.best(real);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let asked = match (best, value) {
        (Some(best), _) => best.list.to_json()["matchers"].clone(),
        // Its parts say what is asked.
        (None, Value::Object(_) | Value::Array(_)) => Value::Null,
        (None, value) => json!({ "value": value }),
    };
    places.insert(place.clone(), Need { kind, asked });
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                walk(&place.field(key), &real.field(key), value, rules, places);
            }
        }
        Value::Array(list) => {
            if let Some(first) = list.first() {
                walk(
                    &place.with(Token::StarIndex),
                    &real.index(0),
                    first,
                    rules,
                    places,
                );
            }
        }
        _ => {}
    }
}
