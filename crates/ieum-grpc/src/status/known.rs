//! The messages of google/rpc/error_details.proto, by their names and numbers.
//!
//! A service's descriptors seldom have them: details are messages of any kind, which no proto of the
//! service needs to import.

use prost_reflect::{DescriptorError, DescriptorPool};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions};

/// What a field of these messages is.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Number,
    Duration,
    /// Any number of these.
    Many(&'static str),
    /// Texts by texts.
    Map(&'static str),
}

type Fields = [(&'static str, i32, Field)];

use Field::{Duration, Many, Map, Number, Text};

/// Each message with its fields: name, number, kind. Those that stand inside another one in the
/// original stand beside it here; on the wire and in JSON they are the same.
const MESSAGES: &[(&str, &Fields)] = &[
    ("RetryInfo", &[("retry_delay", 1, Duration)]),
    (
        "ErrorInfo",
        &[
            ("reason", 1, Text),
            ("domain", 2, Text),
            ("metadata", 3, Map("MetadataEntry")),
        ],
    ),
    (
        "BadRequest",
        &[("field_violations", 1, Many("FieldViolation"))],
    ),
    (
        "FieldViolation",
        &[
            ("field", 1, Text),
            ("description", 2, Text),
            ("reason", 3, Text),
        ],
    ),
    (
        "PreconditionFailure",
        &[("violations", 1, Many("PreconditionViolation"))],
    ),
    (
        "PreconditionViolation",
        &[
            ("type", 1, Text),
            ("subject", 2, Text),
            ("description", 3, Text),
        ],
    ),
    ("QuotaFailure", &[("violations", 1, Many("QuotaViolation"))]),
    (
        "QuotaViolation",
        &[
            ("subject", 1, Text),
            ("description", 2, Text),
            ("quota_value", 6, Number),
        ],
    ),
    (
        "ResourceInfo",
        &[
            ("resource_type", 1, Text),
            ("resource_name", 2, Text),
            ("owner", 3, Text),
            ("description", 4, Text),
        ],
    ),
    (
        "RequestInfo",
        &[("request_id", 1, Text), ("serving_data", 2, Text)],
    ),
    ("Help", &[("links", 1, Many("HelpLink"))]),
    ("HelpLink", &[("description", 1, Text), ("url", 2, Text)]),
    (
        "LocalizedMessage",
        &[("locale", 1, Text), ("message", 2, Text)],
    ),
];

/// The messages, with those of protobuf itself.
pub(crate) fn pool() -> Result<DescriptorPool, DescriptorError> {
    let messages = MESSAGES.iter().map(|(name, fields)| describe(name, fields));
    let mut pool = DescriptorPool::global();
    pool.add_file_descriptor_proto(FileDescriptorProto {
        name: Some("google/rpc/error_details.proto".to_owned()),
        package: Some("google.rpc".to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: vec!["google/protobuf/duration.proto".to_owned()],
        message_type: messages.collect(),
        ..FileDescriptorProto::default()
    })?;
    Ok(pool)
}

fn describe(message: &str, fields: &Fields) -> DescriptorProto {
    let entries = fields.iter().filter_map(|(_, _, kind)| match kind {
        Map(entry) => Some(map_entry(entry)),
        _ => None,
    });
    DescriptorProto {
        name: Some(message.to_owned()),
        nested_type: entries.collect(),
        field: fields
            .iter()
            .map(|(name, number, kind)| kind.describe(message, name, *number))
            .collect(),
        ..DescriptorProto::default()
    }
}

impl Field {
    fn describe(self, message: &str, name: &str, number: i32) -> FieldDescriptorProto {
        let (kind, of, is_many) = match self {
            Text => (Type::String, None, false),
            Number => (Type::Int64, None, false),
            Duration => (
                Type::Message,
                Some(".google.protobuf.Duration".to_owned()),
                false,
            ),
            Many(of) => (Type::Message, Some(format!(".google.rpc.{of}")), true),
            Map(entry) => (
                Type::Message,
                Some(format!(".google.rpc.{message}.{entry}")),
                true,
            ),
        };
        let label = if is_many {
            Label::Repeated
        } else {
            Label::Optional
        };
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            r#type: Some(kind.into()),
            type_name: of,
            label: Some(label.into()),
            ..FieldDescriptorProto::default()
        }
    }
}

/// What a map is on the wire: a message of a key and a value.
fn map_entry(name: &str) -> DescriptorProto {
    DescriptorProto {
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..MessageOptions::default()
        }),
        ..describe(name, &[("key", 1, Text), ("value", 2, Text)])
    }
}
