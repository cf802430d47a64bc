//! `/v1/agent/check…`: reporting the state of TTL checks, and adding and removing checks.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_discovery::consul::wire::{HealthCheck, status_of};
use ieum_discovery::{CheckId, CheckKind, ErrorKind, Registry, Status};

use super::Consul;
use super::blocking::Query;
use super::error::{Refused, Result};
use super::filter::CHECK;
use super::places::Places;
use super::wire::{check_of_instance, health_checks, maintenance_check, update};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/agent/checks", get(checks))
        .route("/v1/agent/check/register", put(register))
        .route("/v1/agent/check/deregister/{id}", put(deregister))
        .route("/v1/agent/check/pass/{id}", put(pass))
        .route("/v1/agent/check/warn/{id}", put(warn))
        .route("/v1/agent/check/fail/{id}", put(fail))
        .route("/v1/agent/check/update/{id}", put(update_check))
}

async fn checks(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Json<BTreeMap<String, HealthCheck>>> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    let filter = query.filter(&CHECK)?;
    let mut checks: BTreeMap<String, HealthCheck> = consul.registry.live().look(|catalog| {
        let places = Places::in_catalog(&consul, catalog);
        let home = catalog.all().filter(|r| places.is_home(r));
        let maintenance = catalog.maintenance();
        let maintenance = maintenance.map(|reason| maintenance_check(&consul.node, reason));
        let all = home.flat_map(|r| health_checks(&consul.node, r));
        let all = all.chain(maintenance);
        all.map(|check| (check.check_id.clone(), check)).collect()
    });
    if let Some(filter) = filter {
        checks.retain(|_, check| filter.passes(check));
    }
    Ok(Json(checks))
}

async fn register(State(consul): State<Consul>, body: Bytes) -> Result<()> {
    let (instance, check) = check_of_instance(&body, consul.least_deregister_after)?;
    let added = consul.registry.register_check(&instance, check).await;
    added.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Refused::bad_request(format!("ServiceID {:?} does not exist", instance.0))
        }
        _ => error.into(),
    })
}

async fn deregister(State(consul): State<Consul>, Path(id): Path<String>) -> Result<()> {
    let removed = consul.registry.deregister_check(&CheckId(id.clone())).await;
    removed.map_err(|error| unknown_check(&id, error))
}

async fn pass(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<()> {
    let query = Query::new(parameters);
    report(&consul, &id, Status::Passing, note(&query)).await
}

async fn warn(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<()> {
    let query = Query::new(parameters);
    report(&consul, &id, Status::Warning, note(&query)).await
}

async fn fail(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<()> {
    let query = Query::new(parameters);
    report(&consul, &id, Status::Critical, note(&query)).await
}

async fn update_check(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<()> {
    let update = update(&body)?;
    let status = status_of(&update.status).ok_or_else(|| {
        Refused::bad_request(format!("Invalid check status: '{}'", update.status))
    })?;
    report(&consul, &id, status, &update.output).await
}

fn note(query: &Query) -> &str {
    query.get("note").unwrap_or_default()
}

/// Reports a state, of a TTL check only: the others are asked, and would be overruled at once.
async fn report(consul: &Consul, id: &str, status: Status, output: &str) -> Result<()> {
    let check = CheckId(id.to_owned());
    let is_ttl = consul.registry.live().look(|catalog| {
        let (_, check) = catalog.check(&check)?;
        Some(matches!(check.definition.kind, CheckKind::Ttl { .. }))
    });
    if is_ttl == Some(false) {
        let text = format!("CheckID {id:?} does not have associated TTL");
        return Err(Refused::not_found(text));
    }
    let reported = consul.registry.report(&check, status, output).await;
    reported.map_err(|error| unknown_check(id, error))
}

fn unknown_check(id: &str, error: ieum_discovery::Error) -> Refused {
    match error.kind() {
        ErrorKind::NotFound => Refused::unknown_check(id),
        _ => error.into(),
    }
}
