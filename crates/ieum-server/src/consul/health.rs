//! `/v1/health`: the instances of a service with the state of their checks.

use axum::Router;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use axum::routing::get;
use ieum_discovery::catalog::Catalog;
use ieum_discovery::consul::wire::{HealthCheck, HealthEntry, status_of};
use ieum_discovery::{Registered, Status};

use super::Consul;
use super::blocking::{Query, indexed, keep};
use super::error::{Refused, Result};
use super::filter::{CHECK, ENTRY};
use super::places::Places;
use super::wire::{entry, has_tags, health_checks, maintenance_check, platform};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/health/service/{service}", get(service))
        .route("/v1/health/checks/{service}", get(checks))
        .route("/v1/health/state/{state}", get(state))
        .route("/v1/health/node/{node}", get(node))
}

/// Entries of instances; `passing` leaves only those with no check in another state, so a warning
/// is left out too, as in Consul.
async fn service(
    State(consul): State<Consul>,
    Path(service): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let passing = query.switch("passing")?;
    let filter = query.filter(&ENTRY)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let places = Places::of(&consul);
    let is_wanted = |registered: &&Registered| {
        has_tags(registered, query.all("tag"))
            && (!passing || registered.status() == Status::Passing)
            && query.has_node_meta(places.node(registered))
    };
    let found = snapshot.instances.iter().filter(is_wanted);
    let mut entries: Vec<HealthEntry> = found.map(|r| entry(places.node(r), r)).collect();
    if snapshot.instances.is_empty() && service == "consul" {
        entries.push(entry(&consul.node, &platform(&consul.node)));
    }
    keep(filter.as_ref(), &mut entries);
    Ok(indexed(snapshot.index, &entries))
}

async fn checks(
    State(consul): State<Consul>,
    Path(service): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&CHECK)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let places = Places::of(&consul);
    let wanted = snapshot.instances.iter();
    let wanted = wanted.filter(|r| query.has_node_meta(places.node(r)));
    let mut checks: Vec<HealthCheck> = wanted
        .flat_map(|r| health_checks(places.node(r), r))
        .filter(|check| !check.service_id.is_empty())
        .collect();
    keep(filter.as_ref(), &mut checks);
    Ok(indexed(snapshot.index, &checks))
}

/// All checks in a state. Its index is that of the whole registry.
async fn state(
    State(consul): State<Consul>,
    Path(state): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let wanted = match state.as_str() {
        "any" => None,
        name => Some(
            status_of(name)
                .ok_or_else(|| Refused::bad_request(format!("Invalid check state: {name:?}")))?,
        ),
    };
    let query = Query::new(parameters);
    all_checks(&consul, &query, |check| {
        wanted.is_none_or(|wanted| status_of(&check.status) == Some(wanted))
    })
    .await
}

async fn node(
    State(consul): State<Consul>,
    Path(node): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let node = consul.name_of_node(&node);
    let query = Query::new(parameters);
    all_checks(&consul, &query, |check| check.node == node).await
}

async fn all_checks(
    consul: &Consul,
    query: &Query,
    wanted: impl Fn(&HealthCheck) -> bool + Send,
) -> Result<Response> {
    query.check(consul)?;
    let filter = query.filter(&CHECK)?;
    let blocking = query.blocking(consul)?;
    let live = consul.registry.live();
    live.watch_all(index, blocking.index, blocking.wait).await;
    let (index, mut checks) = live.look(|catalog| {
        let places = Places::in_catalog(consul, catalog);
        let home = query.has_node_meta(&consul.node);
        let maintenance = catalog.maintenance().filter(|_| home);
        let maintenance = maintenance.map(|reason| maintenance_check(&consul.node, reason));
        let all = catalog
            .all()
            .filter(|r| query.has_node_meta(places.node(r)));
        let checks = all.flat_map(|r| health_checks(places.node(r), r));
        let checks = checks.chain(maintenance).filter(&wanted);
        (index(catalog), checks.collect::<Vec<_>>())
    });
    keep(filter.as_ref(), &mut checks);
    Ok(indexed(index, &checks))
}

fn index(catalog: &Catalog) -> u64 {
    catalog.index().max(1)
}
