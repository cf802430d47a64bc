//! Logs.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::json;
use super::{AnyValue, KeyValue, Resource, Scope};

/// An export of log records.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogsRequest {
    /// The records by who wrote them.
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

/// The records of one service.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceLogs {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The records by the part of the program.
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
}

/// The records of one part of a program.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeLogs {
    /// The part.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Its records.
    #[prost(message, repeated, tag = "2")]
    pub log_records: Vec<LogRecord>,
}

/// One record.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogRecord {
    /// When it happened.
    #[serde(with = "json::number")]
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// When it was seen.
    #[serde(with = "json::number")]
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
    /// 1 trace, 5 debug, 9 info, 13 warning, 17 error.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    /// The level's name.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// What it says.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// What is known beside.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// The trace's flags.
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    /// 16 bytes, or none.
    #[serde(with = "json::hex", skip_serializing_if = "Vec::is_empty")]
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    /// 8 bytes, or none.
    #[serde(with = "json::hex", skip_serializing_if = "Vec::is_empty")]
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
}

impl LogsRequest {
    /// How many records it has.
    pub fn records(&self) -> usize {
        let scopes = self.resource_logs.iter().flat_map(|r| &r.scope_logs);
        scopes.map(|scope| scope.log_records.len()).sum()
    }
}
