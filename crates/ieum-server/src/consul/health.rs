//! `/v1/health`: the instances of a service with the state of their checks.

use axum::Router;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use axum::routing::get;
use ieum_discovery::consul::wire::{HealthCheck, HealthEntry, status_of};
use ieum_discovery::{Registered, Status};

use super::Consul;
use super::blocking::{Query, indexed};
use super::error::{Refused, Result};
use super::wire::{entry, has_tags, health_checks, platform};

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
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let is_wanted = |registered: &&Registered| {
        let status = registered.status();
        has_tags(registered, query.all("tag")) && (!passing || status == Status::Passing)
    };
    let found = snapshot.instances.iter().filter(is_wanted);
    let mut entries: Vec<HealthEntry> = found.map(|r| entry(&consul.node, r)).collect();
    if snapshot.instances.is_empty() && service == "consul" {
        entries.push(entry(&consul.node, &platform(&consul.node)));
    }
    Ok(indexed(snapshot.index, &entries))
}

async fn checks(
    State(consul): State<Consul>,
    Path(service): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let blocking = query.blocking(&consul)?;
    let live = consul.registry.live();
    let snapshot = live.watch(&service, blocking.index, blocking.wait).await;
    let of = |registered| health_checks(&consul.node, registered);
    let checks: Vec<HealthCheck> = snapshot.instances.iter().flat_map(of).collect();
    Ok(indexed(snapshot.index, &checks))
}

/// All checks in a state. It answers at once: its index is that of the whole registry.
async fn state(
    State(consul): State<Consul>,
    Path(state): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    Query::new(parameters).check(&consul)?;
    let wanted = match state.as_str() {
        "any" => None,
        name => Some(
            status_of(name)
                .ok_or_else(|| Refused::bad_request(format!("Invalid check state: {name:?}")))?,
        ),
    };
    let (index, mut checks) = all_checks(&consul);
    checks.retain(|check| wanted.is_none_or(|wanted| status_of(&check.status) == Some(wanted)));
    Ok(indexed(index, &checks))
}

async fn node(
    State(consul): State<Consul>,
    Path(node): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    Query::new(parameters).check(&consul)?;
    let (index, mut checks) = all_checks(&consul);
    if node != consul.node.name {
        checks.clear();
    }
    Ok(indexed(index, &checks))
}

fn all_checks(consul: &Consul) -> (u64, Vec<HealthCheck>) {
    consul.registry.live().look(|catalog| {
        let of = |registered| health_checks(&consul.node, registered);
        (catalog.index().max(1), catalog.all().flat_map(of).collect())
    })
}
