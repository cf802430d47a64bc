//! Writing Pact files of version 4, always with the same bytes for the same contract.

use serde_json::{Map, Value, json};

use super::{Exchange, Headers, Interaction, Pact};

impl Pact {
    /// The file of version 4. Interactions are ordered by kind, description and states, keys by
    /// name, so that the same contract has the same text.
    pub fn to_json(&self) -> Value {
        let mut interactions: Vec<(String, Value)> = self
            .interactions
            .iter()
            .map(|interaction| (interaction.sort_key(), interaction.to_json()))
            .collect();
        interactions.sort_by(|(left, _), (right, _)| left.cmp(right));
        let interactions: Vec<Value> = interactions.into_iter().map(|(_, value)| value).collect();
        sorted(&json!({
            "consumer": { "name": self.consumer },
            "provider": { "name": self.provider },
            "interactions": interactions,
            "metadata": { "pactSpecification": { "version": "4.0" } },
        }))
    }

    /// The text of the file, with a line's end.
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.to_json())
    }
}

impl Interaction {
    /// What tells one interaction from another: kind, description and states with their values.
    pub(crate) fn sort_key(&self) -> String {
        let states: Vec<Value> = self.states.iter().map(state).collect();
        let kind = match self.exchange {
            Exchange::Http(_) => "http",
            Exchange::Message(_) => "message",
        };
        format!(
            "{kind}\n{}\n{}",
            self.description,
            sorted(&Value::from(states))
        )
    }

    /// As in a file of version 4.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("description".into(), json!(self.description));
        map.insert("pending".into(), json!(self.pending));
        if !self.states.is_empty() {
            let states: Vec<Value> = self.states.iter().map(state).collect();
            map.insert("providerStates".into(), states.into());
        }
        match &self.exchange {
            Exchange::Http(http) => {
                map.insert("type".into(), json!("Synchronous/HTTP"));
                map.insert("request".into(), http.request.to_json());
                map.insert("response".into(), http.response.to_json());
            }
            Exchange::Message(message) => {
                map.insert("type".into(), json!("Asynchronous/Messages"));
                put(
                    &mut map,
                    "contents",
                    message.contents.to_json(message.media_type().as_ref()),
                );
                let metadata: Map<String, Value> = message.metadata.clone().into_iter().collect();
                map.insert("metadata".into(), Value::Object(metadata));
                put(&mut map, "matchingRules", message.rules.to_json());
                put(&mut map, "generators", message.generators.to_json());
            }
        }
        sorted(&Value::Object(map))
    }
}

fn state(state: &super::State) -> Value {
    match state.params.is_empty() {
        true => json!({ "name": state.name }),
        false => json!({ "name": state.name, "params": state.params }),
    }
}

impl super::Request {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("method".into(), json!(self.method));
        map.insert("path".into(), json!(self.path));
        put(
            &mut map,
            "query",
            (!self.query.is_empty()).then(|| json!(self.query)),
        );
        put(&mut map, "headers", headers(&self.headers));
        put(
            &mut map,
            "body",
            self.body.to_json(self.media_type().as_ref()),
        );
        put(&mut map, "matchingRules", self.rules.to_json());
        put(&mut map, "generators", self.generators.to_json());
        Value::Object(map)
    }
}

impl super::Response {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("status".into(), json!(self.status));
        put(&mut map, "headers", headers(&self.headers));
        put(
            &mut map,
            "body",
            self.body.to_json(self.media_type().as_ref()),
        );
        put(&mut map, "matchingRules", self.rules.to_json());
        put(&mut map, "generators", self.generators.to_json());
        Value::Object(map)
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn headers(headers: &Headers) -> Option<Value> {
    let fields = headers
        .iter()
        .map(|(name, values)| (name.to_lowercase(), json!(values)));
    (!headers.is_empty()).then(|| Value::Object(fields.collect()))
}

/// The same value with the keys of each object in order, however objects are kept in this build.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
