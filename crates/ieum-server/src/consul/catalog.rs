//! `/v1/catalog`: which services there are, and where their instances live.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_discovery::catalog::Catalog;
use ieum_discovery::consul::wire::{AgentService, CatalogService, Node};
use ieum_discovery::{CheckId, Error, ErrorKind, InstanceId, Registered, Registry};
use serde_json::{Value, json};

use super::blocking::{Query, indexed, keep};
use super::error::{Refused, Result};
use super::filter::{AGENT_SERVICE, CATALOG_SERVICE, NODE};
use super::places::Places;
use super::wire::{agent_service, catalog_service, external, has_tags, node, platform, removed};
use super::{Consul, NodeInfo};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/catalog/services", get(services))
        .route("/v1/catalog/service/{service}", get(service))
        .route("/v1/catalog/nodes", get(nodes))
        .route("/v1/catalog/node/{node}", get(node_with_map))
        .route("/v1/catalog/node-services/{node}", get(node_with_list))
        .route("/v1/catalog/register", put(register))
        .route("/v1/catalog/deregister", put(deregister))
        .route("/v1/catalog/datacenters", get(datacenters))
}

/// The services with their tags. Its index moves with each registration and removal.
async fn services(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&CATALOG_SERVICE)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let (index, mut services) = live.watch_services(blocking.index, blocking.wait).await;
    services.entry("consul".to_owned()).or_default();
    if filter.is_none() && query.get("node-meta").is_none() {
        return Ok(indexed(index, &services));
    }
    let places = Places::of(&consul);
    let mut instances: Vec<Registered> = live.look(|catalog| catalog.all().cloned().collect());
    instances.push(platform(&consul.node));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for registered in instances {
        let node = places.node(&registered);
        let described = catalog_service(node, &registered);
        let passes = filter
            .as_ref()
            .is_none_or(|filter| filter.passes(&described));
        if passes && query.has_node_meta(node) {
            let tags = found.entry(described.service_name).or_default();
            tags.extend(described.service_tags);
        }
    }
    Ok(indexed(index, &found))
}

async fn service(
    State(consul): State<Consul>,
    Path(service): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&CATALOG_SERVICE)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let places = Places::of(&consul);
    let instances = snapshot.instances.iter();
    let mut found: Vec<CatalogService> = instances
        .filter(|registered| has_tags(registered, query.all("tag")))
        .filter(|registered| query.has_node_meta(places.node(registered)))
        .map(|registered| catalog_service(places.node(registered), registered))
        .collect();
    if snapshot.instances.is_empty() && service == "consul" {
        found.push(catalog_service(&consul.node, &platform(&consul.node)));
    }
    keep(filter.as_ref(), &mut found);
    Ok(indexed(snapshot.index, &found))
}

async fn nodes(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&NODE)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let index = Catalog::nodes_index;
    live.watch_all(index, blocking.index, blocking.wait).await;
    let (index, mut found) = live.look(|catalog| {
        let away = catalog
            .nodes()
            .map(|known| NodeInfo::of(known, &consul.node));
        let all = std::iter::once(NodeInfo::clone(&consul.node)).chain(away);
        let wanted = all.filter(|info| query.has_node_meta(info));
        let found: Vec<Node> = wanted.map(|info| node(&info)).collect();
        (index(catalog), found)
    });
    keep(filter.as_ref(), &mut found);
    Ok(indexed(index, &found))
}

async fn node_with_map(
    State(consul): State<Consul>,
    Path(name): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let (index, found) = node_and_services(&consul, &name, parameters).await?;
    let answer = found.map_or(Value::Null, |(node, services)| {
        let services = services.into_iter();
        let services: BTreeMap<String, AgentService> = services
            .map(|service| (service.id.clone(), service))
            .collect();
        json!({"Node": node, "Services": services})
    });
    Ok(indexed(index, &answer))
}

async fn node_with_list(
    State(consul): State<Consul>,
    Path(name): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let (index, found) = node_and_services(&consul, &name, parameters).await?;
    let answer = match found {
        Some((node, services)) => json!({"Node": node, "Services": services}),
        None => json!({"Node": null, "Services": []}),
    };
    Ok(indexed(index, &answer))
}

/// A node and what stands there; its index moves with registrations, removals and nodes.
async fn node_and_services(
    consul: &Consul,
    name: &str,
    parameters: Vec<(String, String)>,
) -> Result<(u64, Option<(Node, Vec<AgentService>)>)> {
    let query = Query::new(parameters);
    query.check(consul)?;
    let filter = query.filter(&AGENT_SERVICE)?;
    let blocking = query.blocking(consul)?;
    let live = consul.registry.live();
    let index = |catalog: &Catalog| catalog.membership_index().max(catalog.nodes_index());
    live.watch_all(index, blocking.index, blocking.wait).await;
    Ok(live.look(|catalog| {
        let away = catalog
            .nodes()
            .map(|known| NodeInfo::of(known, &consul.node));
        let mut all = std::iter::once(NodeInfo::clone(&consul.node)).chain(away);
        let found = all.find(|info| info.is_called(name)).map(|info| {
            let places = Places::in_catalog(consul, catalog);
            let here = catalog.all().filter(|r| places.node(r).name == info.name);
            let mut services: Vec<_> = here.map(|r| agent_service(&info, r)).collect();
            keep(filter.as_ref(), &mut services);
            (node(&info), services)
        });
        (index(catalog), found)
    }))
}

/// Registers for somebody else: a node, an instance of it, and what its checks are told to say.
async fn register(State(consul): State<Consul>, body: Bytes) -> Result<Json<bool>> {
    let (external, datacenter) = external(&body, &consul.node)?;
    consul.check_datacenter(&datacenter)?;
    consul.registry.register_external(&external).await?;
    Ok(Json(true))
}

/// Removes a node, or an instance or a check of it. What is not there is gone already.
async fn deregister(State(consul): State<Consul>, body: Bytes) -> Result<Json<bool>> {
    let removed = removed(&body)?;
    consul.check_datacenter(&removed.datacenter)?;
    let node = consul.name_of_node(&removed.node);
    let registry = &consul.registry;
    let stands_there = |instance: &InstanceId| {
        registry.live().look(|catalog| {
            let stands = catalog.node_of(instance).map(|known| &known.node.name);
            *stands.unwrap_or(&consul.node.name) == node
        })
    };
    let done = if !removed.serviceid.is_empty() {
        let instance = InstanceId(removed.serviceid);
        match stands_there(&instance) {
            true => registry.deregister(&instance).await,
            false => Ok(()),
        }
    } else if !removed.checkid.is_empty() {
        let check = CheckId(removed.checkid);
        let of = registry
            .live()
            .look(|catalog| Some(catalog.check(&check)?.0.instance.id.clone()));
        match of.is_some_and(|instance| stands_there(&instance)) {
            true => registry.deregister_check(&check).await,
            false => Ok(()),
        }
    } else if node == consul.node.name {
        let text = "the platform's own node cannot be deregistered";
        return Err(Refused::bad_request(text));
    } else {
        registry.deregister_node(&node).await
    };
    match done {
        Err(error) if Error::kind(&error) != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(Json(true)),
    }
}

async fn datacenters(State(consul): State<Consul>) -> Json<[String; 1]> {
    Json([consul.node.datacenter.clone()])
}
