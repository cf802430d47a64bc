//! How a call ended: the code, the text and the details that trailers carry.
//!
//! Details (`grpc-status-details-bin`) are a `google.rpc.Status` with messages of any kind. Those of
//! google/rpc/error_details.proto are known here by their numbers; others if the service's
//! descriptors have them.

pub(crate) mod known;

use http::HeaderMap;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};

use crate::descriptors::Descriptors;
use crate::{Code, fields, message};

/// The name of the field.
pub const GRPC_STATUS_DETAILS: &str = "grpc-status-details-bin";

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The text for people; empty if there is none.
    pub message: String,
    details: Vec<Any>,
}

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The status in trailers, or in the head of an answer of trailers only; `None` if they have
    /// none. Details that are damaged, or of another code, are left out.
    pub fn of_fields(fields: &HeaderMap) -> Option<Self> {
        let code = Code::of_fields(fields)?;
        let message = fields.get(message::GRPC_MESSAGE).map(message::decode);
        let details = details(fields).filter(|rich| rich.code == i32::from(code.number()));
        Some(Self {
            code,
            message: message.unwrap_or_default(),
            details: details.map(|rich| rich.details).unwrap_or_default(),
        })
    }

    /// The details as JSON: objects with `@type`, as proto3's JSON writes messages of any kind. What
    /// is of an unknown kind is its `@type` alone. Stack traces (`google.rpc.DebugInfo`) are left
    /// out: they are not for those who call.
    pub fn details(&self, descriptors: &Descriptors) -> Vec<Value> {
        let shown = self.details.iter().filter(|any| any.name() != DEBUG_INFO);
        shown.map(|any| any.to_json(descriptors)).collect()
    }

    /// How long to wait before another try, in seconds, rounded up, if the details say
    /// (`google.rpc.RetryInfo`).
    pub fn retry_after(&self) -> Option<u64> {
        let info = self.details.iter().find(|any| any.name() == RETRY_INFO)?;
        let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
        let seconds = u64::try_from(delay.seconds).ok()?;
        Some(seconds.saturating_add(u64::from(delay.nanos > 0)))
    }
}

fn details(fields: &HeaderMap) -> Option<Rich> {
    let text = fields.get(GRPC_STATUS_DETAILS)?.to_str().ok()?;
    let bytes = fields::bytes(text).ok()?;
    Rich::decode(bytes.as_slice()).ok()
}

impl Any {
    /// The full name of the message: what stands behind the last slash of its type's URL.
    fn name(&self) -> &str {
        self.type_url.rsplit_once('/').map_or("", |(_, name)| name)
    }

    fn to_json(&self, descriptors: &Descriptors) -> Value {
        let kind = descriptors.message(self.name());
        let mut members = match kind.and_then(|kind| self.members(kind)) {
            Some(Value::Object(members)) => members,
            // A message with a JSON of its own, such as a Duration.
            Some(value) => return json!({ "@type": self.type_url, "value": value }),
            None => serde_json::Map::new(),
        };
        members.insert("@type".to_owned(), Value::String(self.type_url.clone()));
        Value::Object(members)
    }

    fn members(&self, kind: MessageDescriptor) -> Option<Value> {
        let message = DynamicMessage::decode(kind, self.value.as_slice()).ok()?;
        let options = SerializeOptions::new();
        let json = message.serialize_with_options(serde_json::value::Serializer, &options);
        json.ok()
    }
}

const RETRY_INFO: &str = "google.rpc.RetryInfo";
const DEBUG_INFO: &str = "google.rpc.DebugInfo";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Rich {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD_NO_PAD;

    use super::*;

    fn none() -> Descriptors {
        Descriptors::from_set(&[]).expect("an empty set")
    }

    fn any(name: &str, value: &[u8]) -> Any {
        Any {
            type_url: format!("type.googleapis.com/{name}"),
            value: value.to_vec(),
        }
    }

    fn fields(code: Code, of_details: i32, details: Vec<Any>) -> HeaderMap {
        let rich = Rich {
            code: of_details,
            message: "no".to_owned(),
            details,
        };
        let details = BASE64_STANDARD_NO_PAD.encode(rich.encode_to_vec());
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", code.field());
        fields.insert("grpc-message", message::encode("없음 100%"));
        fields.insert(GRPC_STATUS_DETAILS, details.parse().expect("ASCII"));
        fields
    }

    /// `{1: "email", 2: "is taken"}` inside field 1.
    const FIELD_VIOLATION: &[u8] = b"\x0a\x11\x0a\x05email\x12\x08is taken";

    #[test]
    fn the_details_that_google_defines_are_json() {
        let details = vec![
            any("google.rpc.BadRequest", FIELD_VIOLATION),
            any("google.rpc.RetryInfo", b"\x0a\x04\x08\x01\x10\x01"),
            any(
                "google.rpc.ErrorInfo",
                b"\x0a\x04FULL\x12\x04shop\x1a\x0a\x0a\x01a\x12\x05b c d",
            ),
        ];
        let status =
            Status::of_fields(&fields(Code::InvalidArgument, 3, details)).expect("a status");
        assert_eq!(status.code, Code::InvalidArgument);
        assert_eq!(status.message, "없음 100%");
        assert_eq!(status.retry_after(), Some(2));
        assert_eq!(
            Value::Array(status.details(&none())),
            json!([
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{ "field": "email", "description": "is taken" }]
                },
                { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.000000001s" },
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "FULL", "domain": "shop", "metadata": { "a": "b c d" }
                },
            ])
        );
    }

    #[test]
    fn what_is_unknown_is_named_and_stack_traces_are_not_told() {
        let details = vec![
            any("shop.Secret", b"\x0a\x01x"),
            any("google.rpc.DebugInfo", b"\x0a\x04main"),
        ];
        let status = Status::of_fields(&fields(Code::Internal, 13, details)).expect("a status");
        assert_eq!(
            Value::Array(status.details(&none())),
            json!([{ "@type": "type.googleapis.com/shop.Secret" }])
        );
    }

    #[test]
    fn details_of_another_code_or_damaged_ones_are_left_out() {
        let details = vec![any("google.rpc.BadRequest", FIELD_VIOLATION)];
        let mut other = fields(Code::NotFound, 3, details);
        assert!(
            Status::of_fields(&other)
                .expect("a status")
                .details(&none())
                .is_empty()
        );
        other.insert(GRPC_STATUS_DETAILS, "%%%".parse().expect("ASCII"));
        assert!(
            Status::of_fields(&other)
                .expect("a status")
                .details(&none())
                .is_empty()
        );
        assert_eq!(Status::of_fields(&HeaderMap::new()), None);
    }
}
