//! `/v1/session`: clients that may hold keys.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use ieum_base::{HumanDuration, Uuid};
use ieum_discovery::CheckId;
use ieum_discovery::kv::{Behavior, Session, Watched};
use serde::Serialize;
use serde_json::{Value, json};

use super::Consul;
use super::blocking::{Query, indexed};
use super::error::{Refused, Result};
use super::kv::session_id;
use super::wire::{SessionRequest, session_request};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/session/create", put(create))
        .route("/v1/session/destroy/{id}", put(destroy))
        .route("/v1/session/renew/{id}", put(renew))
        .route("/v1/session/info/{id}", get(info))
        .route("/v1/session/node/{node}", get(node))
        .route("/v1/session/list", get(list))
}

/// A session as clients read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    #[serde(rename = "ID")]
    id: Uuid,
    name: String,
    node: String,
    /// In nanoseconds.
    lock_delay: u64,
    behavior: Behavior,
    #[serde(rename = "TTL")]
    ttl: String,
    node_checks: Vec<CheckId>,
    /// `null` if there is none, as in Consul.
    service_checks: Option<Vec<Value>>,
    create_index: u64,
    modify_index: u64,
}

impl From<&Session> for Shown {
    fn from(session: &Session) -> Self {
        let checks = session.service_checks.iter();
        let checks: Vec<Value> = checks
            .map(|id| json!({"ID": id, "Namespace": ""}))
            .collect();
        Self {
            id: session.id,
            name: session.name.clone(),
            node: session.node.clone(),
            lock_delay: u64::try_from(session.lock_delay.as_nanos()).unwrap_or(u64::MAX),
            behavior: session.behavior,
            ttl: session
                .ttl
                .map(|ttl| HumanDuration(ttl).to_string())
                .unwrap_or_default(),
            node_checks: session.node_checks.clone(),
            service_checks: (!checks.is_empty()).then_some(checks),
            create_index: session.created,
            modify_index: session.created,
        }
    }
}

async fn create(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    body: Bytes,
) -> Result<Json<Value>> {
    Query::new(parameters).check(&consul)?;
    let session = session(&consul, session_request(&body)?)?;
    let id = consul.kv.begin_session(session).await?;
    Ok(Json(json!({ "ID": id })))
}

fn session(consul: &Consul, request: SessionRequest) -> Result<Session> {
    let behavior = match request.behavior.as_str() {
        "" | "release" => Behavior::Release,
        "delete" => Behavior::Delete,
        other => {
            let text = format!("Invalid Behavior setting '{other}'");
            return Err(Refused::bad_request(text));
        }
    };
    let least = consul.kv.config().least_session_ttl.0;
    if let Some(ttl) = request.ttl
        && !(least..=LONGEST_TTL).contains(&ttl)
    {
        let (ttl, least) = (HumanDuration(ttl), HumanDuration(least));
        return Err(Refused::bad_request(format!(
            "Invalid Session TTL '{ttl}', must be between [{least}=24h0m0s]"
        )));
    }
    // The platform is known by its id too, as nodes are.
    let node = match request.node {
        node if node.is_empty() || node == consul.node.id => consul.node.name.clone(),
        node => node,
    };
    Ok(Session {
        id: Uuid::new_v4(),
        name: request.name,
        node,
        lock_delay: request
            .lock_delay
            .unwrap_or(DEFAULT_LOCK_DELAY)
            .min(LONGEST_LOCK_DELAY),
        behavior,
        ttl: request.ttl,
        node_checks: request.node_checks,
        service_checks: request.service_checks,
        created: 0,
    })
}

async fn destroy(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Json<bool>> {
    Query::new(parameters).check(&consul)?;
    consul.kv.end_session(session_id(&id)?).await?;
    Ok(Json(true))
}

async fn renew(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Json<[Shown; 1]>> {
    Query::new(parameters).check(&consul)?;
    let renewed = consul.kv.renew_session(session_id(&id)?).await?;
    renewed
        .map(|session| Json([Shown::from(&session)]))
        .ok_or_else(|| Refused::not_found(format!("Session id '{id}' not found")))
}

async fn info(
    State(consul): State<Consul>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let id = session_id(&id)?;
    answer(&consul, parameters, |session| session.id == id).await
}

async fn node(
    State(consul): State<Consul>,
    Path(node): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let node = match node == consul.node.id {
        true => consul.node.name.clone(),
        false => node,
    };
    answer(&consul, parameters, |session| session.node == node).await
}

async fn list(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    answer(&consul, parameters, |_| true).await
}

async fn answer(
    consul: &Consul,
    parameters: Vec<(String, String)>,
    wanted: impl Fn(&Session) -> bool + Send,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(consul)?;
    let blocking = query.blocking(consul)?;
    let watched = Watched::Sessions;
    consul
        .kv
        .watch(&watched, blocking.index, blocking.wait)
        .await?;
    let found = consul.kv.look(|state| {
        let sessions = state.sessions().filter(|session| wanted(session));
        let shown: Vec<Shown> = sessions.map(Shown::from).collect();
        (watched.index(state), shown)
    });
    let (index, sessions) = found.await?;
    Ok(indexed(index, &sessions))
}

/// Consul's bounds.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LOCK_DELAY: Duration = Duration::from_secs(15);
const LONGEST_LOCK_DELAY: Duration = Duration::from_secs(60);
