//! Requests and responses, held against their operation.

use serde_json::Value;

use super::prepare::{Use, prepare};
use super::{Document, Operation};
use crate::matching::{Mismatch, cut};
use crate::model::{Body, MediaType, Request, Response};
use crate::schema::Schema;

/// Headers that are described elsewhere in a document, or not at all.
const OWN_HEADERS: [&str; 3] = ["accept", "content-type", "authorization"];

impl Document {
    /// What of a request differs from the document.
    pub fn check_request(&self, request: &Request) -> Vec<Mismatch> {
        let operation = match self.operation(&request.method, &request.path) {
            Ok(operation) => operation,
            Err(text) => return vec![Mismatch::new("$.path", text)],
        };
        let mut found = self.parameters(&operation, request);
        found.extend(self.request_body(&operation, request));
        found
    }

    /// What of the response to a request differs from the document: the status is described, what is
    /// required is there, and everything has its type.
    pub fn check_response(&self, request: &Request, response: &Response) -> Vec<Mismatch> {
        self.response(request, response, Use::Response)
    }

    /// What of the response that a consumer needs the document does not promise.
    pub(super) fn check_need(&self, request: &Request, response: &Response) -> Vec<Mismatch> {
        self.response(request, response, Use::Need)
    }

    fn parameters(&self, operation: &Operation<'_>, request: &Request) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut known = Vec::new();
        for parameter in self.described(operation) {
            let name = parameter["name"].as_str().unwrap_or_default();
            let (place, values) = match parameter["in"].as_str() {
                Some("path") => {
                    let value = operation.values.iter().find(|(known, _)| *known == name);
                    let value = value.map(|(_, value)| vec![value.clone()]);
                    (format!("$.path.{name}"), value)
                }
                Some("query") => {
                    known.push(name);
                    (format!("$.query.{name}"), request.query.get(name).cloned())
                }
                Some("header") if !OWN_HEADERS.contains(&name.to_lowercase().as_str()) => {
                    let place = format!("$.headers.{}", name.to_lowercase());
                    (place, request.headers.get(name).cloned())
                }
                _ => continue,
            };
            match values {
                Some(values) => found.extend(self.parameter(parameter, &place, &values)),
                None if parameter["required"] == true => {
                    found.push(Mismatch::new(place, "is required, but it is missing"));
                }
                None => {}
            }
        }
        let more = request
            .query
            .keys()
            .filter(|name| !known.contains(&name.as_str()));
        let text = format!("is no parameter of `{}`", operation.template);
        found.extend(more.map(|name| Mismatch::new(format!("$.query.{name}"), text.clone())));
        found
    }

    /// The parameters of the operation; its own come before those of the path.
    pub(crate) fn described<'a>(&'a self, operation: &Operation<'a>) -> Vec<&'a Value> {
        let lists = [&operation.value["parameters"], operation.shared];
        let all = lists.into_iter().filter_map(Value::as_array).flatten();
        let mut described: Vec<&Value> = Vec::new();
        for parameter in all.map(|parameter| self.resolve(parameter)) {
            let same = |known: &&Value| {
                known["name"] == parameter["name"] && known["in"] == parameter["in"]
            };
            if !described.iter().any(same) {
                described.push(parameter);
            }
        }
        described
    }

    fn parameter(&self, parameter: &Value, place: &str, values: &[String]) -> Vec<Mismatch> {
        let Some(schema) = parameter.get("schema") else {
            return Vec::new();
        };
        let resolved = self.resolve(schema);
        let value = if has_type(resolved, "array") {
            let parts = values
                .iter()
                .flat_map(|value| match parameter["explode"] == false {
                    true => value.split(',').map(str::to_owned).collect(),
                    false => vec![value.clone()],
                });
            let items = self.resolve(&resolved["items"]);
            parts.map(|part| typed(items, &part)).collect()
        } else {
            typed(resolved, &values.join(","))
        };
        self.value_of(schema, &value, place, Use::Request)
    }

    fn request_body(&self, operation: &Operation<'_>, request: &Request) -> Vec<Mismatch> {
        let described = self.resolve(&operation.value["requestBody"]);
        let Body::Present { bytes, .. } = &request.body else {
            return match described["required"] == true {
                true => vec![Mismatch::new("$.body", "is required, but there is none")],
                false => Vec::new(),
            };
        };
        if described.is_null() {
            let text = format!("`{}` takes no body", operation.template);
            return vec![Mismatch::new("$.body", text)];
        }
        self.content(
            described,
            request.media_type().as_ref(),
            bytes,
            Use::Request,
        )
    }

    fn response(&self, request: &Request, response: &Response, usage: Use) -> Vec<Mismatch> {
        let operation = match self.operation(&request.method, &request.path) {
            Ok(operation) => operation,
            // It was said of the request.
            Err(_) if usage == Use::Need => return Vec::new(),
            Err(text) => return vec![Mismatch::new("$.path", text)],
        };
        let responses = &operation.value["responses"];
        let status = response.status.to_string();
        let class = format!("{}XX", &status[..1]);
        let keys = [status.as_str(), &class, &class.to_lowercase(), "default"];
        let Some(described) = keys.iter().find_map(|key| responses.get(key)) else {
            let known = responses.as_object().into_iter().flatten();
            let known: Vec<&str> = known.map(|(status, _)| status.as_str()).collect();
            let text = format!("{status} is not described, only {}", known.join(", "));
            return vec![Mismatch::new("$.status", text)];
        };
        let described = self.resolve(described);
        let mut found = Vec::new();
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let needed = self.resolve(header)["required"] == true && usage == Use::Response;
            if needed && response.headers.get(name).is_none() {
                let place = format!("$.headers.{}", name.to_lowercase());
                found.push(Mismatch::new(place, "is required, but it is missing"));
            }
        }
        if usage == Use::Need {
            found.extend(not_described(&described["headers"], response));
        }
        if let Body::Present { bytes, .. } = &response.body {
            found.extend(self.content(described, response.media_type().as_ref(), bytes, usage));
        }
        found
    }

    /// A body, held against `content` of a request body or response.
    fn content(
        &self,
        described: &Value,
        media_type: Option<&MediaType>,
        bytes: &[u8],
        usage: Use,
    ) -> Vec<Mismatch> {
        let Some(content) = described["content"].as_object() else {
            let text = "the document describes no body here";
            return vec![Mismatch::new("$.body", text)];
        };
        let fits = |key: &str| {
            let known = MediaType::parse(key);
            let any_of_kind = key.strip_suffix("/*").zip(media_type);
            known
                .zip(media_type)
                .is_none_or(|(known, came)| known.without_parameters().accepts(came))
                || any_of_kind.is_some_and(|(main, came)| came.to_string().starts_with(main))
        };
        let Some((_, described)) = content.iter().find(|(key, _)| fits(key)) else {
            let known: Vec<&str> = content.keys().map(String::as_str).collect();
            let came = media_type.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let text = format!(
                "the type {came} is not described, only {}",
                known.join(", ")
            );
            return vec![Mismatch::new("$.body", text)];
        };
        let (Some(schema), true) = (
            described.get("schema"),
            media_type.is_none_or(MediaType::is_json),
        ) else {
            return Vec::new();
        };
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => self.value_of(schema, &value, "$.body", usage),
            Err(error) => vec![Mismatch::new("$.body", format!("is no JSON: {error}"))],
        }
    }

    fn value_of(&self, schema: &Value, value: &Value, place: &str, usage: Use) -> Vec<Mismatch> {
        match Schema::new(&prepare(self.value(), schema, usage)) {
            Ok(schema) => schema.check(value, place),
            Err(error) => vec![Mismatch::new(place, cut(&error.to_string()))],
        }
    }
}

/// The headers that a consumer needs and the document does not describe.
fn not_described(described: &Value, response: &Response) -> Vec<Mismatch> {
    let known = |name: &str| {
        let mut names = described.as_object().into_iter().flatten();
        name == "content-type" || names.any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let names = response.headers.iter().map(|(name, _)| name.to_lowercase());
    let unknown = names.filter(|name| !known(name));
    unknown
        .map(|name| Mismatch::new(format!("$.headers.{name}"), "is not described"))
        .collect()
}

/// Whether a schema says this type, alone or among others.
fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::Array(names) => names.iter().any(|known| known == name),
        known => known == name,
    }
}

/// A parameter's text as the type that its schema says, if it can be one.
fn typed(schema: &Value, text: &str) -> Value {
    let parsed = match text {
        "true" | "false" if has_type(schema, "boolean") => Some(Value::from(text == "true")),
        _ if has_type(schema, "integer") => text.parse::<i64>().ok().map(Value::from),
        _ if has_type(schema, "number") => text.parse::<f64>().ok().map(Value::from),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}
