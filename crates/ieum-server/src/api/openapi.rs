//! The description of the API, made from the routes that are mounted.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApiBuilder, PathItem, Ref, RefOr, Required, Schema,
};

use super::routes::Operation;
use crate::cmd::twin;
use crate::errors::ErrorCode;

/// The schemas of bodies, by name. Their fields are those of `ieum_remote::wire`; a test compares.
const SCHEMAS: &str = include_str!("schemas.json");

/// The media type of an answer that is text.
const TEXT: &str = "text/plain";

/// The OpenAPI document of `operations`.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut paths = PathsBuilder::new();
    for operation in operations {
        let method = match operation.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(operation.path, PathItem::new(method, describe(operation)));
    }
    let info = InfoBuilder::new()
        .title("ieum platform API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The log, topics, sagas, traces and services of a running ieum. Errors are problem \
             details (RFC 9457) with a stable code; `/api/v1/errors/{code}` explains each. The \
             subset of Consul's API under `/v1/` is described by Consul.",
        ));
    let document = OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build());
    let mut document = serde_json::to_value(document.build()).unwrap_or_default();
    document["components"] = serde_json::json!({ "schemas": schemas() });
    document
}

/// The schemas by name.
pub(crate) fn schemas() -> Value {
    // The file is ours; a test reads it.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn describe(operation: &Operation) -> utoipa::openapi::path::Operation {
    let mut builder = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .tag(tag(operation.path))
        .extensions(twin(operation.id).map(command));
    for name in operation.path_parameters() {
        builder = builder.parameter(parameter(name, None, ParameterIn::Path));
    }
    for (name, meaning) in &operation.query {
        builder = builder.parameter(parameter(name, Some(meaning), ParameterIn::Query));
    }
    if let Some((media_types, schema)) = operation.body {
        let mut body = RequestBodyBuilder::new().required(Some(Required::True));
        for media_type in media_types {
            body = body.content(*media_type, content(schema));
        }
        builder = builder.request_body(Some(body.build()));
    }
    for (status, meaning, schema) in &operation.answers {
        let mut response = ResponseBuilder::new().description(*meaning);
        if let Some(schema) = schema {
            let media_type = if *schema == "Text" {
                TEXT
            } else {
                "application/json"
            };
            response = response.content(media_type, content(schema));
        }
        builder = builder.response(status.to_string(), response.build());
    }
    for (status, response) in refusals(&operation.refusals) {
        builder = builder.response(status, response);
    }
    builder.build()
}

/// The command that shows the same, for whom looks for a way without a browser.
fn command(twin: &str) -> Extensions {
    Extensions::builder()
        .add("x-ieum-command", format!("ieum {twin}"))
        .build()
}

/// One response per status; its description names the codes.
fn refusals(codes: &[&ErrorCode]) -> Vec<(String, Response)> {
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status).collect();
    let response = |status: u16| {
        let with_status = codes.iter().filter(|code| code.status == status);
        let names: Vec<_> = with_status
            .map(|code| format!("{} {}", code.code, code.title))
            .collect();
        let response = ResponseBuilder::new()
            .description(names.join("; "))
            .content(ieum_http::problem::MEDIA_TYPE, content("Problem"));
        (status.to_string(), response.build())
    };
    statuses.into_iter().map(response).collect()
}

fn parameter(name: &str, meaning: Option<&str>, place: ParameterIn) -> Parameter {
    let required = if place == ParameterIn::Path {
        Required::True
    } else {
        Required::False
    };
    let text: RefOr<Schema> = ObjectBuilder::new().schema_type(Type::String).into();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(meaning)
        .schema(Some(text))
        .build()
}

fn content(schema: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(schema)))
}

/// The part of the platform that a path belongs to.
fn tag(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let part = match parts.next() {
        Some("api") => parts.nth(1),
        Some("v1") => parts.next(),
        other => other,
    };
    part.unwrap_or("platform").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ieum_eventstore::Expect;

    use super::*;

    #[test]
    fn the_schemas_have_the_fields_of_the_wire() {
        let described_as = schemas();
        let check = |name: &str, sample: Value| {
            let described: BTreeSet<_> = described_as[name]["properties"]
                .as_object()
                .unwrap_or_else(|| panic!("{name} is not an object"))
                .keys()
                .collect();
            let sent: BTreeSet<_> = sample.as_object().expect("an object").keys().collect();
            assert_eq!(described, sent, "{name}");
        };
        for (name, sample) in samples().into_iter().chain(live_samples()) {
            check(name, sample);
        }
    }

    /// What the console's live pages are sent, likewise.
    fn live_samples() -> Vec<(&'static str, Value)> {
        use ieum_remote::wire::breakers::{BreakerChange, BreakerState, BreakerView};
        use ieum_remote::wire::log::StreamSummary;
        use ieum_remote::wire::overview::{About, Edge, Overview, SagaCounts, ServiceLoad};
        use ieum_remote::wire::traces::{LogLevel, LogLine};
        let at = ieum_base::Timestamp::default();
        let state = BreakerState::Closed;
        let breaker = BreakerView {
            service: String::new(),
            target: String::new(),
            owner: String::new(),
            instance: String::new(),
            state,
            since: at,
            calls: 0,
            failures: 0,
            failure_rate: 0.0,
            changes: Vec::new(),
        };
        let change = BreakerChange {
            at,
            from: state,
            to: state,
            reason: String::new(),
        };
        let line = LogLine {
            at,
            level: LogLevel::Info,
            service: String::new(),
            message: String::new(),
            span_id: None,
            attributes: BTreeMap::new(),
        };
        let stream = StreamSummary {
            stream: "order-1".parse().expect("valid"),
            version: ieum_eventstore::Version(1),
            position: ieum_eventstore::Position(1),
            last_at: Some(at),
        };
        vec![
            ("Overview", json(&Overview::default())),
            ("PlatformAbout", json(&About::default())),
            ("ServiceLoad", json(&ServiceLoad::default())),
            ("Edge", json(&Edge::default())),
            ("SagaCounts", json(&SagaCounts::default())),
            ("Breaker", json(&breaker)),
            ("BreakerChange", json(&change)),
            ("LogLine", json(&line)),
            ("StreamSummary", json(&stream)),
        ]
    }

    fn json(sample: &impl serde::Serialize) -> Value {
        serde_json::to_value(sample).expect("serialises")
    }

    /// A value of each type with every field present.
    fn samples() -> Vec<(&'static str, Value)> {
        use ieum_discovery::peers::Heard;
        use ieum_remote::wire::platforms::{PlatformView, Platforms};
        use ieum_remote::wire::{log, services, topics, traces};
        let head = r#"{"incarnation":"00000000-0000-0000-0000-000000000001","position":1}"#;
        let head: ieum_eventstore::Head = serde_json::from_str(head).expect("valid");
        let to = ieum_eventstore::Checkpoint {
            incarnation: head.incarnation,
            position: head.position,
        };
        let fence = ieum_eventstore::Fence {
            name: "a".into(),
            epoch: 1,
        };
        let value = |sample: Result<Value, serde_json::Error>| sample.expect("serialises");
        let summary = traces::TraceSummary {
            trace_id: "00000000000000000000000000000001".parse().expect("an id"),
            name: "a".into(),
            service: "a".into(),
            start: ieum_base::Timestamp::default(),
            duration_ms: 1,
            spans: 1,
            failed: false,
        };
        let instance = services::InstanceView {
            id: "a".into(),
            authority: "a:1".into(),
            status: ieum_discovery::Status::Passing,
            output: String::new(),
            meta: BTreeMap::new(),
        };
        let service = services::ServiceView {
            name: "a".into(),
            owner: None,
            tags: Vec::new(),
            instances: Vec::new(),
        };
        let give_up = topics::GiveUp {
            epoch: ieum_messaging::Epoch(1),
            position: 1,
            reason: "a".into(),
        };
        let platforms = Platforms {
            shared: true,
            platforms: Vec::new(),
            unowned: 0,
        };
        let append = log::AppendToStream {
            expect: Expect::Any,
            events: Vec::new(),
            fence: Some(fence.clone()),
        };
        vec![
            ("Head", value(serde_json::to_value(head))),
            ("Checkpoint", value(serde_json::to_value(to))),
            ("Fence", value(serde_json::to_value(&fence))),
            ("AppendToStream", value(serde_json::to_value(append))),
            ("TraceSummary", value(serde_json::to_value(summary))),
            ("InstanceView", value(serde_json::to_value(instance))),
            ("ServiceView", value(serde_json::to_value(service))),
            ("GiveUp", value(serde_json::to_value(give_up))),
            ("Platforms", value(serde_json::to_value(platforms))),
            (
                "PlatformView",
                value(serde_json::to_value(PlatformView::default())),
            ),
            ("Heard", value(serde_json::to_value(Heard::default()))),
            ("Impact", value(serde_json::to_value(impact()))),
        ]
    }

    fn impact() -> ieum_remote::wire::impact::Impact {
        let landscape = crate::impact::Landscape {
            services: ["a".to_owned()].into(),
            ..crate::impact::Landscape::default()
        };
        landscape.impact("a", None).expect("known")
    }
}
