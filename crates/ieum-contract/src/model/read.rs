//! Reading Pact files of the versions 1 to 4.

use std::collections::BTreeMap;
use std::path::Path as File;

use serde_json::{Map, Value};

use super::{
    Body, Exchange, Headers, HttpExchange, Interaction, MediaType, Message, Pact, Request,
    Response, State,
};
use crate::error::{Error, ErrorKind, Result, invalid};
use crate::generate::Generators;
use crate::matching::parameters;
use crate::rules::Rules;

/// The largest Pact file that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

impl Pact {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if it cannot be read or is larger than 64 MiB; [`ErrorKind::Invalid`] if
    /// it is no Pact file, or one with what this version does not know.
    pub fn open(file: &File) -> Result<Self> {
        Self::read(&read_file(file)?).map_err(|error| error.at(file.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with the interaction.
    pub fn read(text: &[u8]) -> Result<Self> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| invalid(format!("no JSON: {error}")))?;
        Self::of_json(&value)
    }

    /// Reads a file's value.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of_json(value: &Value) -> Result<Self> {
        let name = |role: &str| {
            let name = value[role]["name"].as_str().map(str::to_owned);
            name.ok_or_else(|| invalid(format!("no Pact file: `{role}.name` is missing")))
        };
        let wrapped = version(value).starts_with('4');
        if !value["interactions"].is_array() && !value["messages"].is_array() {
            return Err(invalid("no Pact file: `interactions` is missing"));
        }
        let list = |key: &str| value[key].as_array().map_or(&[][..], Vec::as_slice);
        let interactions = list("interactions")
            .iter()
            .map(|value| interaction(value, wrapped));
        let messages = list("messages").iter().map(|value| {
            let message = Exchange::Message(Box::new(message(value, false)?));
            read_interaction(value, message)
        });
        let interactions = interactions
            .chain(messages)
            .enumerate()
            .map(|(index, read)| {
                read.map_err(|error| error.at(format_args!("interaction {}", index + 1)))
            });
        Ok(Self {
            consumer: name("consumer")?,
            provider: name("provider")?,
            interactions: interactions.collect::<Result<_>>()?,
        })
    }
}

/// Reads a file that is not too large.
pub(crate) fn read_file(file: &File) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| {
        Error::new(
            ErrorKind::File,
            format!("{} cannot be read: {error}", file.display()),
        )
    };
    let length = std::fs::metadata(file).map_err(cannot)?.len();
    if length > MOST_BYTES {
        let context = format!("{} has more than {MOST_BYTES} bytes", file.display());
        return Err(Error::new(ErrorKind::File, context));
    }
    std::fs::read(file).map_err(cannot)
}

/// The version of the specification that a file says it follows.
fn version(value: &Value) -> String {
    let metadata = &value["metadata"];
    let places = [
        &metadata["pactSpecification"]["version"],
        &metadata["pact-specification"]["version"],
        &metadata["pactSpecificationVersion"],
    ];
    let known = places.into_iter().find_map(Value::as_str);
    known.unwrap_or("3.0.0").to_owned()
}

fn interaction(value: &Value, wrapped: bool) -> Result<Interaction> {
    let exchange = match value["type"].as_str().filter(|_| wrapped) {
        None | Some("Synchronous/HTTP") => Exchange::Http(Box::new(HttpExchange {
            request: request(&value["request"], wrapped)?,
            response: response(&value["response"], wrapped)?,
        })),
        Some("Asynchronous/Messages") => Exchange::Message(Box::new(message(value, wrapped)?)),
        Some(other) => {
            return Err(invalid(format!(
                "interactions of the type `{other}` are not known"
            )));
        }
    };
    read_interaction(value, exchange)
}

fn read_interaction(value: &Value, exchange: Exchange) -> Result<Interaction> {
    let description = value["description"].as_str().unwrap_or_default().to_owned();
    Ok(Interaction {
        states: states(value),
        pending: value["pending"] == true,
        exchange,
        description,
    })
}

/// `providerStates` of the versions 3 and 4; one name in the older ones.
fn states(value: &Value) -> Vec<State> {
    let state = |name: &str, params: Option<&Map<String, Value>>| State {
        name: name.to_owned(),
        params: params.cloned().unwrap_or_default(),
    };
    if let Some(states) = value["providerStates"].as_array() {
        let named = states
            .iter()
            .filter_map(|value| Some(state(value["name"].as_str()?, value["params"].as_object())));
        return named.collect();
    }
    let old = ["providerState", "provider_state", "providerStates"];
    let name = old.iter().find_map(|key| value[key].as_str());
    name.map(|name| state(name, None)).into_iter().collect()
}

fn request(value: &Value, wrapped: bool) -> Result<Request> {
    let headers = headers(&value["headers"]);
    let whole = value["path"].as_str().unwrap_or("/");
    // A path may have its query with it in old files.
    let (path, inline) = match whole.split_once('?') {
        Some((path, query)) => (path, parameters(query)),
        None => (whole, BTreeMap::new()),
    };
    Ok(Request {
        method: value["method"].as_str().unwrap_or("GET").to_uppercase(),
        path: path.to_owned(),
        query: query(&value["query"], inline)?,
        body: body(value.get("body"), wrapped, &headers)?,
        headers,
        rules: rules(value)?,
        generators: Generators::of_json(&value["generators"])?,
    })
}

fn response(value: &Value, wrapped: bool) -> Result<Response> {
    let headers = headers(&value["headers"]);
    let status = match &value["status"] {
        Value::Null => Some(200),
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|status| status.try_into().ok()),
    };
    Ok(Response {
        status: status.ok_or_else(|| invalid("a status is a number"))?,
        body: body(value.get("body"), wrapped, &headers)?,
        headers,
        rules: rules(value)?,
        generators: Generators::of_json(&value["generators"])?,
    })
}

fn message(value: &Value, wrapped: bool) -> Result<Message> {
    let metadata = match (&value["metadata"], &value["metaData"]) {
        (Value::Object(map), _) | (_, Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    let media_type = metadata.iter().find_map(|(key, value)| {
        let named = ["contenttype", "content-type"].contains(&key.to_lowercase().as_str());
        named.then(|| MediaType::parse(value.as_str()?)).flatten()
    });
    let contents = match wrapped {
        true => Body::of_wrapped_json(value.get("contents"))?,
        false => Body::of_plain_json(value.get("contents"), media_type.as_ref()),
    };
    Ok(Message {
        contents,
        metadata: metadata.into_iter().collect(),
        rules: rules(value)?,
        generators: Generators::of_json(&value["generators"])?,
    })
}

/// The rules, under the name of today or that of the first version.
fn rules(value: &Value) -> Result<Rules> {
    let rules = value.get("matchingRules");
    rules
        .or_else(|| value.get("requestMatchingRules"))
        .or_else(|| value.get("responseMatchingRules"))
        .map_or_else(|| Ok(Rules::default()), Rules::of_json)
}

fn body(value: Option<&Value>, wrapped: bool, headers: &Headers) -> Result<Body> {
    if wrapped {
        return Body::of_wrapped_json(value);
    }
    let media_type = headers.get("content-type");
    let media_type = media_type.and_then(|values| MediaType::parse(&values.join(", ")));
    Ok(Body::of_plain_json(value, media_type.as_ref()))
}

fn headers(value: &Value) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        for value in strings(value) {
            headers.add(name, &value);
        }
    }
    headers
}

/// A query is a string in the versions 1 and 2, a map afterwards.
fn query(
    value: &Value,
    mut query: BTreeMap<String, Vec<String>>,
) -> Result<BTreeMap<String, Vec<String>>> {
    match value {
        Value::Null => {}
        Value::String(text) => query.extend(parameters(text)),
        Value::Object(map) => {
            query.extend(
                map.iter()
                    .map(|(name, value)| (name.clone(), strings(value))),
            );
        }
        other => return Err(invalid(format!("`{other}` is no query"))),
    }
    Ok(query)
}

/// One text or a list of them; numbers count as their text.
fn strings(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        value => vec![text(value)],
    }
}
