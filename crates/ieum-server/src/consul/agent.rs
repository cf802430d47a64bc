//! `/v1/agent/service…` and `/v1/agent/self`: registering instances, and the node itself.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_base::{Deadline, Uuid};
use ieum_discovery::consul::wire::AgentService;
use ieum_discovery::{ErrorKind, InstanceId, Registry};
use serde_json::{Value, json};

use super::blocking::Query;
use super::error::{Refused, Result};
use super::filter::AGENT_SERVICE;
use super::places::Places;
use super::wire::{agent_service, registration};
use super::{Consul, LEADER};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/agent/service/register", put(register))
        .route("/v1/agent/service/deregister/{id}", put(deregister))
        .route("/v1/agent/services", get(services))
        .route("/v1/agent/service/{id}", get(service))
        .route("/v1/agent/self", get(itself))
        .route("/v1/agent/members", get(members))
}

/// Registers an instance. Checks that it has and the body does not mention stay, unless the query
/// says `replace-existing-checks`.
async fn register(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    body: Bytes,
) -> Result<()> {
    let replace = Query::new(parameters).switch("replace-existing-checks")?;
    let registration = registration(&body, &consul.node, consul.least_deregister_after)?;
    if replace {
        consul.registry.register(registration).await?;
    } else {
        consul.registry.register_merging(registration).await?;
    }
    Ok(())
}

async fn deregister(State(consul): State<Consul>, Path(id): Path<String>) -> Result<()> {
    let removed = consul.registry.deregister(&InstanceId(id.clone())).await;
    removed.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Refused::unknown_service(&id),
        _ => error.into(),
    })
}

/// The instances that stand at this node.
async fn services(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Json<BTreeMap<String, AgentService>>> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&AGENT_SERVICE)?;
    let mut services: BTreeMap<String, AgentService> = consul.registry.live().look(|catalog| {
        let places = Places::in_catalog(&consul, catalog);
        let home = catalog.all().filter(|r| places.is_home(r));
        let all = home.map(|r| agent_service(&consul.node, r));
        all.map(|service| (service.id.clone(), service)).collect()
    });
    if let Some(filter) = filter {
        services.retain(|_, service| filter.passes(service));
    }
    Ok(Json(services))
}

/// One instance. With `hash`, it waits until the instance is other than what had that hash.
async fn service(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let known = query.get("hash").unwrap_or_default();
    let deadline = Deadline::after(query.blocking(&consul)?.wait);
    let live = consul.registry.live();
    loop {
        let (index, service) = live.look(|catalog| {
            let registered = catalog.instance(&InstanceId(id.clone()));
            let service = registered.map(|r| agent_service(&consul.node, r));
            (catalog.index(), service)
        });
        let service =
            service.ok_or_else(|| Refused::not_found(format!("unknown service ID: {id}")))?;
        let hash = hash_of(&service);
        if hash != known || deadline.left() == Duration::ZERO {
            return Ok(hashed(&service, &hash));
        }
        live.watch_all(|catalog| catalog.index(), index, deadline.left())
            .await;
        if live.is_stopping() {
            return Ok(hashed(&service, &hash));
        }
    }
}

/// Says whether two descriptions are the same, and no more.
fn hash_of(service: &AgentService) -> String {
    let mut described = serde_json::to_value(service).unwrap_or_default();
    // The state of a check moves the index, and is not part of the description.
    if let Value::Object(fields) = &mut described {
        fields.remove("ModifyIndex");
    }
    let text = described.to_string();
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes());
    hash.simple().to_string()[..16].to_owned()
}

fn hashed(service: &AgentService, hash: &str) -> Response {
    let mut answer = serde_json::to_value(service).unwrap_or_default();
    answer["ContentHash"] = hash.into();
    let mut answer = Json(answer).into_response();
    if let Ok(value) = HeaderValue::from_str(hash) {
        answer.headers_mut().insert(CONTENT_HASH, value);
    }
    answer
}

async fn itself(State(consul): State<Consul>) -> Json<Value> {
    let node = &consul.node;
    Json(json!({
        "Config": {
            "Datacenter": node.datacenter,
            "PrimaryDatacenter": node.datacenter,
            "NodeName": node.name,
            "NodeID": node.id,
            "Server": true,
            "Revision": "",
            "Version": env!("CARGO_PKG_VERSION"),
        },
        "DebugConfig": {},
        "Coord": null,
        "Member": member(&consul),
        "Stats": {"consul": {"leader": "true", "leader_addr": LEADER}},
        "Meta": node.meta,
    }))
}

async fn members(State(consul): State<Consul>) -> Json<[Value; 1]> {
    Json([member(&consul)])
}

fn member(consul: &Consul) -> Value {
    let node = &consul.node;
    json!({
        "Name": node.name,
        "Addr": node.address,
        "Port": 8301,
        "Tags": {"dc": node.datacenter, "role": "consul", "id": node.id, "port": "8300",
                 "build": concat!("ieum ", env!("CARGO_PKG_VERSION"))},
        "Status": 1,
    })
}

const CONTENT_HASH: HeaderName = HeaderName::from_static("x-consul-contenthash");
