//! The definition as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A saga: its steps in order, each with what undoes it. Unknown members are refused.
///
/// ```json
/// {"name": "place-order",
///  "on": {"topic": "order.events", "type": "order.placed", "where": {"flow": "orchestrated"}},
///  "deadline": "10m",
///  "steps": [
///    {"name": "reserve",
///     "call": {"service": "inventory", "path": "/reservations",
///              "body": {"orderId": "${input.orderId}", "items": "${input.items}"}},
///     "undo": {"service": "inventory", "path": "/reservations/${input.orderId}/release"}},
///    {"name": "confirm", "pivot": true,
///     "call": {"service": "orders", "path": "/orders/${input.orderId}/confirm"}}]}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name: 1 to 64 of `a–z`, `0–9` and `-`.
    pub name: String,
    /// The event that starts one; without it a saga is started by a call only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Trigger>,
    /// How long the steps before the pivot may take together; then the saga is compensated. The
    /// engine's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// The steps, in order; 1 to 64.
    pub steps: Vec<Step>,
}

/// The event that starts a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The topic, like `order.events`.
    pub topic: String,
    /// The type of the event, like `order.placed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Attributes that the event must have with exactly these values, like `flow`.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the saga: 1 to 64 of `a–z`, `0–9` and `-`.
    pub name: String,
    /// True for the one step behind which there is only forward.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pivot: bool,
    /// What is done.
    pub call: Call,
    /// What undoes it: a call, or `"none"`. Required before the pivot. On the pivot it is used only
    /// if an attempt went unanswered and a later one was rejected; without one the saga is parked
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// How long one attempt may take. The engine's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// How many attempts are made before the step counts as failed. The engine's default if absent.
    /// What was certainly not sent is no attempt, and its undo has more: see the engine's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// A call of a service. `path` and `body` are templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The name of the service.
    pub service: String,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// The path, and a query if there is one. What `${…}` puts in is percent-encoded.
    pub path: String,
    /// The JSON that is sent; nothing is sent if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// The method of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `POST`, the default.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `GET`.
    Get,
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Get => "GET",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What undoes a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// Nothing needs to be undone, and the author said so: `"none"`.
    Nothing,
    /// This call undoes it.
    Call(Call),
}

impl Serialize for Undo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_str("none"),
            Self::Call(call) => call.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Undo {
    // By hand, because serde's untagged enums hide what is wrong inside the call.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Undo;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a call, or \"none\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Undo, E> {
                match text {
                    "none" => Ok(Undo::Nothing),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Undo, A::Error> {
                Call::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Undo::Call)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Undo {
    fn schema_name() -> Cow<'static, str> {
        "Undo".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let call = generator.subschema_for::<Call>();
        schemars::json_schema!({ "anyOf": [{ "const": "none" }, call] })
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(truth: &bool) -> bool {
    !truth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(undo: &str) -> Result<Step, String> {
        let json = format!(
            r#"{{"name":"a","call":{{"service":"s","path":"/p"}},"undo":{undo},"timeout":"2s"}}"#
        );
        serde_json::from_str(&json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_undo_is_a_call_or_none() {
        assert_eq!(step(r#""none""#).expect("valid").undo, Some(Undo::Nothing));
        let call = step(r#"{"service":"s","method":"DELETE","path":"/p"}"#).expect("valid");
        let again: Step =
            serde_json::from_str(&serde_json::to_string(&call).expect("json")).expect("valid");
        assert_eq!(again, call);
        assert!(matches!(call.undo, Some(Undo::Call(c)) if c.method == Method::Delete));
    }

    #[test]
    fn an_error_inside_an_undo_says_what_is_wrong() {
        let error = step(r#"{"service":"s","pth":"/p"}"#).expect_err("a typo");
        assert!(error.contains("unknown field `pth`"), "{error}");
        assert!(step(r#""nothing""#).is_err());
    }
}
