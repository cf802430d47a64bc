//! `/v1/agent/maintenance`, `/v1/agent/service/maintenance` and `/v1/agent/health`: taking instances
//! out by hand, and how they are in one word.

use axum::extract::{Path, Query as Parameters, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_discovery::consul::wire::status_name;
use ieum_discovery::{
    CheckDefinition, CheckId, CheckKind, ErrorKind, InstanceId, Registered, Status,
};
use serde_json::{Value, json};

use super::Consul;
use super::blocking::Query;
use super::error::{Refused, Result};
use super::wire::{agent_service, boolean, health_checks};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/agent/maintenance", put(node))
        .route("/v1/agent/service/maintenance/{id}", put(service))
        .route("/v1/agent/health/service/name/{name}", get(by_name))
        .route("/v1/agent/health/service/id/{id}", get(by_id))
}

/// Takes all instances of this node out, or puts them back.
async fn node(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<()> {
    let query = Query::new(parameters);
    let reason = is_enabled(&query)?.then(|| reason(&query, "node"));
    Ok(consul.registry.maintain_node(reason).await?)
}

/// Takes one instance out, by a critical check that nobody runs, or puts it back.
async fn service(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<()> {
    let query = Query::new(parameters);
    let enabled = is_enabled(&query)?;
    let instance = InstanceId(id.clone());
    let check = CheckId(format!("_service_maintenance:{id}"));
    let unknown = |error: ieum_discovery::Error| match error.kind() {
        ErrorKind::NotFound => Refused::unknown_service(&id),
        _ => error.into(),
    };
    if enabled {
        let mut definition = CheckDefinition::new(check, CheckKind::Told);
        "Service Maintenance Mode".clone_into(&mut definition.name);
        definition.notes = reason(&query, "service");
        let added = consul.registry.register_check(&instance, definition);
        return added.await.map_err(unknown);
    }
    let live = consul.registry.live();
    let (known, maintained) = live.look(|catalog| {
        let known = catalog.instance(&instance).is_some();
        (known, catalog.check(&check).is_some())
    });
    match (known, maintained) {
        (false, _) => Err(Refused::unknown_service(&id)),
        (true, false) => Ok(()),
        (true, true) => Ok(consul.registry.deregister_check(&check).await?),
    }
}

fn is_enabled(query: &Query) -> Result<bool> {
    match query.get("enable") {
        None | Some("") => Err(Refused::bad_request("Missing value for enable")),
        Some(given) => boolean(given)
            .ok_or_else(|| Refused::bad_request(format!("Invalid value for enable: {given:?}"))),
    }
}

fn reason(query: &Query, what: &str) -> String {
    match query.get("reason").unwrap_or_default() {
        "" => format!("Maintenance mode is enabled for this {what}, but no reason was provided."),
        given => given.to_owned(),
    }
}

/// How the instances of a service are, the worst of them first of all.
async fn by_name(
    State(consul): State<Consul>,
    Path(name): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let live = consul.registry.live();
    let instances = live.look(|catalog| catalog.snapshot(&name).instances);
    let worst = instances.iter().map(Registered::status).max();
    let Some(worst) = worst else {
        let text = format!("ServiceName {name}: not found");
        return not_found(&text, &parameters, &headers);
    };
    let described: Vec<Value> = instances.iter().map(|r| described(&consul, r)).collect();
    answer(worst, &described.into(), &parameters, &headers)
}

async fn by_id(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let found = consul.registry.live().look(|catalog| {
        let registered = catalog.instance(&InstanceId(id.clone()))?;
        Some(catalog.described(registered))
    });
    match found {
        Some(registered) => {
            let body = described(&consul, &registered);
            answer(registered.status(), &body, &parameters, &headers)
        }
        None => not_found(&format!("ServiceId {id} not found"), &parameters, &headers),
    }
}

fn described(consul: &Consul, registered: &Registered) -> Value {
    json!({
        "AggregatedStatus": status_name(registered.status()),
        "Service": agent_service(&consul.node, registered),
        "Checks": health_checks(&consul.node, registered),
    })
}

fn answer(
    status: Status,
    body: &Value,
    parameters: &[(String, String)],
    headers: &HeaderMap,
) -> Response {
    let code = match status {
        Status::Passing => StatusCode::OK,
        Status::Warning => StatusCode::TOO_MANY_REQUESTS,
        Status::Critical => StatusCode::SERVICE_UNAVAILABLE,
    };
    match wants_text(parameters, headers) {
        true => (code, status_name(status)).into_response(),
        false => (code, Json(body)).into_response(),
    }
}

fn not_found(text: &str, parameters: &[(String, String)], headers: &HeaderMap) -> Response {
    match wants_text(parameters, headers) {
        true => (StatusCode::NOT_FOUND, text.to_owned()).into_response(),
        false => {
            let body = json!({"AggregatedStatus": "critical", "Service": null, "Checks": null});
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    }
}

fn wants_text(parameters: &[(String, String)], headers: &HeaderMap) -> bool {
    let asked = parameters
        .iter()
        .any(|(name, value)| name == "format" && value == "text");
    let accept = headers
        .get(header::ACCEPT)
        .map(|value| value.as_bytes().starts_with(b"text/plain"));
    asked || accept.unwrap_or_default()
}
