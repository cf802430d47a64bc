//! What all signals share: attributes, resources, scopes, and the answer to an export.

use prost::{Message, Oneof};
use serde::{Deserialize, Serialize};

use super::json;

/// A name with a value.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any kind.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct AnyValue {
    /// The value; none is null.
    #[serde(flatten)]
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Value>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, Oneof, Serialize, Deserialize)]
pub enum Value {
    /// Text.
    #[serde(rename = "stringValue")]
    #[prost(string, tag = "1")]
    Text(String),
    /// True or false.
    #[serde(rename = "boolValue")]
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// A whole number.
    #[serde(rename = "intValue", with = "json::number")]
    #[prost(int64, tag = "3")]
    Int(i64),
    /// A number.
    #[serde(rename = "doubleValue")]
    #[prost(double, tag = "4")]
    Double(f64),
    /// Several values.
    #[serde(rename = "arrayValue")]
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    /// Named values.
    #[serde(rename = "kvlistValue")]
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    /// Bytes.
    #[serde(rename = "bytesValue", with = "json::base64")]
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// Several values.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// Named values.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// The values with their names.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// Who tells: a service, a process.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// What is known about it, `service.name` first of all.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The part of a program that tells.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// The answer to an export of any signal.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExportResponse {
    /// What was not taken; absent if all was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What of an export was not taken.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialSuccess {
    /// How many spans, data points or log records. Its JSON name depends on the signal; this one is
    /// that of spans, the others are read.
    #[serde(
        rename = "rejectedSpans",
        alias = "rejectedDataPoints",
        alias = "rejectedLogRecords",
        with = "json::number"
    )]
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why; with nothing rejected, a remark.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

impl KeyValue {
    /// A name with a value.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: Some(AnyValue {
                value: Some(value.into()),
            }),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl Resource {
    /// The text of an attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|a| a.key == key)?;
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number of an attribute.
    pub fn number(&self, key: &str) -> Option<i64> {
        let attribute = self.attributes.iter().find(|a| a.key == key)?;
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}
