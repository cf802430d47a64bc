//! A platform in this process: the API of log and topics over engines in memory.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ieum_base::{EngineUrl, Stop, TaskKind, Tasks};
use ieum_eventstore::{Appended, Checkpoints, EventStore, Fences, StreamName, memory::Store};
use ieum_messaging::memory::Broker;
use ieum_messaging::{Groups, Inspect, Limits, Publisher, http_binding};
use ieum_remote::wire::log::{
    AppendToLog, LoadedCheckpoint, ReadLog, ReadStream, StoreCheckpoint, StreamPage, WaitForHead,
};
use ieum_remote::wire::{Refusal, topics};
use ieum_remote::{Platform, connect};
use tokio::net::TcpListener;

/// A running stub; it ends with its runtime.
pub(crate) struct Stub {
    /// The platform, as the adapter sees it.
    pub(crate) platform: Platform,
    /// What the stub keeps the log in.
    pub(crate) store: Store,
    /// The headers of all requests, in order.
    pub(crate) seen: Arc<Mutex<Vec<HeaderMap>>>,
}

#[derive(Clone)]
struct Engines {
    store: Store,
    broker: Broker,
}

impl Stub {
    /// Starts the API.
    pub(crate) async fn start() -> Self {
        let store = Store::default();
        let engines = Engines {
            store: store.clone(),
            broker: Broker::default(),
        };
        Self::serve(router(engines), store).await
    }

    /// Starts something else in its place.
    pub(crate) async fn serve(router: Router, store: Store) -> Self {
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let router = router.layer(from_fn_with_state(Arc::clone(&seen), note));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tasks = Tasks::new(Stop::new());
        tasks.spawn(TaskKind::Background, "stub", async move {
            axum::serve(listener, router).await.expect("served");
        });
        let url: EngineUrl = format!("ieum://:s3cret@{address}").parse().expect("a URL");
        Self {
            platform: connect(&url, &tasks).expect("a platform"),
            store,
            seen,
        }
    }
}

async fn note(
    State(seen): State<Arc<Mutex<Vec<HeaderMap>>>>,
    request: Request,
    next: Next,
) -> Response {
    seen.lock()
        .expect("not poisoned")
        .push(request.headers().clone());
    next.run(request).await
}

/// A refusal as the platform answers it.
struct Refused(Refusal);

impl<E> From<E> for Refused
where
    for<'e> Refusal: From<&'e E>,
{
    fn from(error: E) -> Self {
        Self(Refusal::from(&error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("a status");
        let problem = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, problem, Json(self.0)).into_response()
    }
}

type Answer<T> = Result<T, Refused>;

fn router(engines: Engines) -> Router {
    let groups = "/api/v1/topics/{topic}/groups/{group}";
    Router::new()
        .route("/api/v1/log", get(read_log).post(append))
        .route("/api/v1/log/streams/{stream}", get(read_stream))
        .route("/api/v1/log/head", get(head))
        .route("/api/v1/log/checkpoints/{name}", get(load).put(store))
        .route("/api/v1/log/fences/{name}", post(raise))
        .route("/api/v1/topics", get(list_topics))
        .route("/api/v1/topics/{topic}", post(publish))
        .route(&format!("{groups}/join"), post(join))
        .route(&format!("{groups}/pull"), post(pull))
        .route(&format!("{groups}/ack"), post(ack))
        .route(&format!("{groups}/dead-letters"), post(give_up))
        .route("/api/v1/groups", get(list_groups))
        .route("/api/v1/dead-letters", get(list_dead_letters))
        .with_state(engines)
}

async fn append(
    State(engines): State<Engines>,
    Json(body): Json<AppendToLog>,
) -> Answer<(StatusCode, Json<Appended>)> {
    let appended = engines.store.append(body.into()).await?;
    Ok((StatusCode::CREATED, Json(appended)))
}

async fn read_log(
    State(engines): State<Engines>,
    Query(query): Query<ReadLog>,
) -> Answer<Response> {
    let (filter, limit) = (query.filter(), query.limit.expect("the adapter says it"));
    let page = engines.store.read_all(query.after, &filter, limit).await?;
    Ok(Json(page).into_response())
}

async fn read_stream(
    State(engines): State<Engines>,
    Path(stream): Path<StreamName>,
    Query(query): Query<ReadStream>,
) -> Answer<Json<StreamPage>> {
    let limit = query.limit.expect("the adapter says it");
    let events = engines
        .store
        .read_stream(&stream, query.after, limit)
        .await?;
    Ok(Json(StreamPage { events }))
}

async fn head(
    State(engines): State<Engines>,
    Query(query): Query<WaitForHead>,
) -> Answer<Response> {
    let wait = query.wait.unwrap_or_default();
    let head = engines.store.wait(query.after, wait.0).await?;
    Ok(Json(head).into_response())
}

async fn load(
    State(engines): State<Engines>,
    Path(name): Path<String>,
) -> Answer<Json<LoadedCheckpoint>> {
    let checkpoint = engines.store.load(&name).await?;
    Ok(Json(LoadedCheckpoint { checkpoint }))
}

async fn store(
    State(engines): State<Engines>,
    Path(name): Path<String>,
    Json(body): Json<StoreCheckpoint>,
) -> Answer<StatusCode> {
    let (store, from, to) = (&engines.store, body.expected, body.to);
    match &body.fence {
        Some(fence) => store.store_fenced(&name, from, to, fence).await?,
        None => store.store(&name, from, to).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn raise(State(engines): State<Engines>, Path(name): Path<String>) -> Answer<Response> {
    let fence = engines.store.raise(&name).await?;
    Ok((StatusCode::CREATED, Json(fence)).into_response())
}

async fn publish(
    State(engines): State<Engines>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    let messages = http_binding::parse(&headers, &body, &Limits::default());
    let messages = messages.expect("the adapter sends CloudEvents");
    engines.broker.publish(&topic, &messages).await?;
    Ok(StatusCode::ACCEPTED)
}

type Group = Path<(String, String)>;

async fn join(
    State(engines): State<Engines>,
    Path((topic, group)): Group,
    Json(body): Json<topics::Join>,
) -> Answer<Json<topics::Joined>> {
    let epoch = engines.broker.join(&topic, &group, &body.member).await?;
    Ok(Json(topics::Joined { epoch }))
}

async fn pull(
    State(engines): State<Engines>,
    Path((topic, group)): Group,
    Json(body): Json<topics::Pull>,
) -> Answer<Json<topics::Pulled>> {
    let after = body.after.unwrap_or(0);
    let (epoch, max, wait) = (body.epoch, body.max, body.wait.0);
    let pulled = engines
        .broker
        .pull_after(&topic, &group, epoch, after, max, wait);
    let deliveries = pulled.await?;
    Ok(Json(topics::Pulled { deliveries }))
}

async fn ack(
    State(engines): State<Engines>,
    Path((topic, group)): Group,
    Json(body): Json<topics::Ack>,
) -> Answer<StatusCode> {
    let topics::Ack { epoch, up_to } = body;
    engines.broker.ack(&topic, &group, epoch, up_to).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give_up(
    State(engines): State<Engines>,
    Path((topic, group)): Group,
    Json(body): Json<topics::GiveUp>,
) -> Answer<StatusCode> {
    let topics::GiveUp {
        epoch,
        position,
        reason,
    } = body;
    let broker = &engines.broker;
    let kept = broker.dead_letter(&topic, &group, epoch, position, &reason);
    kept.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_topics(State(engines): State<Engines>) -> Answer<Json<topics::Topics>> {
    let topics = engines.broker.topics().await?;
    Ok(Json(topics::Topics { topics }))
}

async fn list_groups(State(engines): State<Engines>) -> Answer<Json<topics::Groups>> {
    let groups = engines.broker.groups().await?;
    Ok(Json(topics::Groups { groups }))
}

async fn list_dead_letters(
    State(engines): State<Engines>,
    Query(query): Query<topics::ListDeadLetters>,
) -> Answer<Json<topics::DeadLetters>> {
    let limit = query.limit.expect("the adapter says it");
    let letters = engines.broker.dead_letters(&query.filter(), limit).await?;
    Ok(Json(topics::DeadLetters {
        dead_letters: letters,
    }))
}
