//! `/v1/catalog`: which services there are, and where their instances live.

use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use ieum_discovery::consul::wire::CatalogService;

use super::Consul;
use super::blocking::{Query, indexed};
use super::error::Result;
use super::wire::{catalog_service, has_tags, node, platform};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/catalog/services", get(services))
        .route("/v1/catalog/service/{service}", get(service))
        .route("/v1/catalog/nodes", get(nodes))
        .route("/v1/catalog/datacenters", get(datacenters))
}

/// The services with their tags. Its index moves with each registration and removal.
async fn services(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let (index, mut services) = live.watch_services(blocking.index, blocking.wait).await;
    services.entry("consul".to_owned()).or_default();
    Ok(indexed(index, &services))
}

async fn service(
    State(consul): State<Consul>,
    Path(service): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let instances = snapshot.instances.iter();
    let mut found: Vec<CatalogService> = instances
        .filter(|registered| has_tags(registered, query.all("tag")))
        .map(|registered| catalog_service(&consul.node, registered))
        .collect();
    if snapshot.instances.is_empty() && service == "consul" {
        found.push(catalog_service(&consul.node, &platform(&consul.node)));
    }
    Ok(indexed(snapshot.index, &found))
}

async fn nodes(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    Query::new(parameters).check(&consul)?;
    Ok(indexed(1, &[node(&consul.node)]))
}

async fn datacenters(State(consul): State<Consul>) -> Json<[String; 1]> {
    Json([consul.node.datacenter.clone()])
}
