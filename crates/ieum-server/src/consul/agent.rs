//! `/v1/agent/service…` and `/v1/agent/self`: registering instances, and the node itself.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_discovery::consul::wire::AgentService;
use ieum_discovery::{ErrorKind, InstanceId, Registry};
use serde_json::{Value, json};

use super::blocking::Query;
use super::error::{Refused, Result};
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
    let registration = registration(&body, &consul.node)?;
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

async fn services(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Json<BTreeMap<String, AgentService>>> {
    Query::new(parameters).check(&consul)?;
    let services = consul.registry.live().look(|catalog| {
        let described = |r| agent_service(&consul.node, r);
        let all = catalog.all().map(described);
        all.map(|service| (service.id.clone(), service)).collect()
    });
    Ok(Json(services))
}

async fn service(
    State(consul): State<Consul>,
    Path(id): Path<String>,
) -> Result<Json<AgentService>> {
    let found = consul.registry.live().look(|catalog| {
        let registered = catalog.instance(&InstanceId(id.clone()));
        registered.map(|r| agent_service(&consul.node, r))
    });
    found
        .map(Json)
        .ok_or_else(|| Refused::not_found(format!("unknown service ID: {id}")))
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
        "Meta": {},
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
