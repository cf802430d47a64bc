//! The log over HTTP: append, read, wait, checkpoints, fences.
//!
//! The paths and bodies are those of `ieum_remote::wire::log`. A wait ends when the platform stops,
//! with what there is: the caller asks again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use ieum_base::Stop;
use ieum_eventstore::{
    Append, Appended, Checkpoints, EventStore, Fence, Fences, Head, Page, Position, StreamName,
};
use ieum_remote::wire::log::{
    AppendToLog, AppendToStream, ListStreams, LoadedCheckpoint, ReadLog, ReadStream,
    StoreCheckpoint, StreamPage, Streams, WaitForHead,
};
use tokio::time::Instant;

use super::extract::{Json, Path, Query};
use super::routes::{Operation, Routes};
use super::{limits, reserved, streams};
use crate::errors::{self, ApiResult};

/// What the routes of the log work on.
#[derive(Clone)]
pub(crate) struct Log {
    /// The log.
    pub(crate) store: Arc<dyn EventStore>,
    /// Its checkpoints.
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    /// Its fences.
    pub(crate) fences: Arc<dyn Fences>,
    /// Ends the waits.
    pub(crate) stop: Stop,
}

const APPENDING: &[&errors::ErrorCode] = &[
    errors::LOG_CONFLICT,
    errors::LOG_CONDITION_FAILED,
    errors::LOG_PARTIAL_DUPLICATE,
    errors::LOG_FENCED,
    errors::LOG_INVALID,
    errors::LOG_FULL,
    errors::LOG_UNAVAILABLE,
];

/// The routes of the log.
pub(crate) fn routes(log: Log) -> Routes {
    readers(whole(of_streams(Routes::new()))).with_state(log)
}

/// Single streams, and which there are.
fn of_streams(routes: Routes<Log>) -> Routes<Log> {
    routes
        .add(
            Operation::get("/api/v1/log/streams", "listStreams")
                .summary(
                    "Lists the streams that were written to last, as far as the log's tail tells.",
                )
                .query("prefix", "only streams whose names begin with this")
                .query("limit", "the most in the answer, 1 to 1000")
                .query("after", "go on from the `next` of an earlier answer")
                .answers(200, "the streams, the latest first", "Streams")
                .refuses(&[errors::LOG_CORRUPT, errors::LOG_UNAVAILABLE]),
            list_streams,
        )
        .add(
            Operation::post("/api/v1/log/streams/{stream}", "appendToStream")
                .summary("Appends events to one stream, all or none; repeating it is harmless.")
                .body("AppendToStream")
                .answers(201, "appended and durable", "Appended")
                .answers(200, "it had been appended before", "Appended")
                .refuses(APPENDING),
            append_to_stream,
        )
        .add(
            Operation::get("/api/v1/log/streams/{stream}", "readStream")
                .summary("Reads one stream in order.")
                .query("after", "only versions above this one")
                .query("limit", "the most events in the answer, 1 to 1000")
                .answers(200, "a piece of the stream", "StreamPage")
                .refuses(&[errors::LOG_CORRUPT, errors::LOG_UNAVAILABLE]),
            read_stream,
        )
}

/// All streams.
fn whole(routes: Routes<Log>) -> Routes<Log> {
    routes
        .add(
            Operation::post("/api/v1/log", "appendToLog")
                .summary("Appends events to several streams, all or none, under a condition.")
                .body("AppendToLog")
                .answers(201, "appended and durable", "Appended")
                .answers(200, "it had been appended before", "Appended")
                .refuses(APPENDING),
            append_to_log,
        )
        .add(
            Operation::get("/api/v1/log", "readLog")
                .summary("Reads the whole log in order, filtered, and waits for more if asked to.")
                .query("after", "only positions above this one")
                .query("category", "categories (topics), joined by commas")
                .query("type", "types of events, joined by commas")
                .query("limit", "the most events in the answer, 1 to 1000")
                .query(
                    "wait",
                    "how long to wait for an event, like 30s; at most 60s",
                )
                .answers(200, "a piece of the log", "Page")
                .refuses(&[errors::LOG_CORRUPT, errors::LOG_UNAVAILABLE]),
            read_log,
        )
        .add(
            Operation::get("/api/v1/log/head", "readHead")
                .summary("Answers the end of the log, and waits for it to move if asked to.")
                .query("after", "wait for an end above this position")
                .query("wait", "how long to wait, like 30s; at most 60s")
                .answers(200, "the end of the log", "Head")
                .refuses(&[errors::LOG_UNAVAILABLE]),
            head,
        )
}

/// What readers and writers keep: how far they have come, and their epochs.
fn readers(routes: Routes<Log>) -> Routes<Log> {
    routes
        .add(
            Operation::get("/api/v1/log/checkpoints/{name}", "loadCheckpoint")
                .summary("Answers how far a reader has come.")
                .answers(200, "the checkpoint, or null", "LoadedCheckpoint")
                .refuses(&[errors::LOG_FOREIGN_CHECKPOINT, errors::LOG_UNAVAILABLE]),
            load_checkpoint,
        )
        .add(
            Operation::put("/api/v1/log/checkpoints/{name}", "storeCheckpoint")
                .summary("Moves a checkpoint by compare-and-set.")
                .body("StoreCheckpoint")
                .answers_empty(204, "stored and durable")
                .refuses(&[
                    errors::LOG_FENCED,
                    errors::LOG_FOREIGN_CHECKPOINT,
                    errors::LOG_UNAVAILABLE,
                ]),
            store_checkpoint,
        )
        .add(
            Operation::post("/api/v1/log/fences/{name}", "raiseFence")
                .summary("Begins the next epoch of a name; writers of earlier epochs are refused.")
                .answers(201, "the epoch has begun", "Fence")
                .refuses(&[errors::LOG_FULL, errors::LOG_UNAVAILABLE]),
            raise_fence,
        )
}

async fn list_streams(
    State(log): State<Log>,
    Query(query): Query<ListStreams>,
) -> ApiResult<Json<Streams>> {
    Ok(Json(streams::list(&*log.store, &query).await?))
}

async fn append_to_stream(
    State(log): State<Log>,
    Path(stream): Path<StreamName>,
    Json(body): Json<AppendToStream>,
) -> ApiResult<(StatusCode, Json<Appended>)> {
    append(&log, body.into_append(stream)).await
}

async fn append_to_log(
    State(log): State<Log>,
    Json(body): Json<AppendToLog>,
) -> ApiResult<(StatusCode, Json<Appended>)> {
    append(&log, body.into()).await
}

async fn append(log: &Log, append: Append) -> ApiResult<(StatusCode, Json<Appended>)> {
    reserved::check_append(&append)?;
    let appended = log.store.append(append).await?;
    let status = if appended.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(appended)))
}

async fn read_stream(
    State(log): State<Log>,
    Path(stream): Path<StreamName>,
    Query(query): Query<ReadStream>,
) -> ApiResult<Json<StreamPage>> {
    let limit = limits::page(query.limit)?;
    let events = log.store.read_stream(&stream, query.after, limit).await?;
    Ok(Json(StreamPage { events }))
}

async fn read_log(State(log): State<Log>, Query(query): Query<ReadLog>) -> ApiResult<Json<Page>> {
    let limit = limits::page(query.limit)?;
    let filter = query.filter();
    let deadline = Instant::now() + limits::wait(query.wait);
    let mut page = log.store.read_all(query.after, &filter, limit).await?;
    // The page moves on also when nothing matches, so that a rare type does not rescan the log.
    while page.events.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || log.stop.is_requested() {
            break;
        }
        let seen = page.scanned_to;
        wait_beyond(&log, seen, left).await?;
        page = log.store.read_all(seen, &filter, limit).await?;
    }
    Ok(Json(page))
}

async fn head(State(log): State<Log>, Query(query): Query<WaitForHead>) -> ApiResult<Json<Head>> {
    wait_beyond(&log, query.after, limits::wait(query.wait)).await?;
    Ok(Json(log.store.head().await?))
}

async fn wait_beyond(log: &Log, position: Position, wait: Duration) -> ApiResult<()> {
    if !wait.is_zero() {
        let waiting = log.store.wait(position, wait);
        log.stop.unless_requested(waiting).await.transpose()?;
    }
    Ok(())
}

async fn load_checkpoint(
    State(log): State<Log>,
    Path(name): Path<String>,
) -> ApiResult<Json<LoadedCheckpoint>> {
    let checkpoint = log.checkpoints.load(&name).await?;
    Ok(Json(LoadedCheckpoint { checkpoint }))
}

async fn store_checkpoint(
    State(log): State<Log>,
    Path(name): Path<String>,
    Json(body): Json<StoreCheckpoint>,
) -> ApiResult<StatusCode> {
    reserved::check_name(&name)?;
    let StoreCheckpoint {
        expected,
        to,
        fence,
    } = body;
    match &fence {
        Some(fence) => {
            let moved = log.checkpoints.store_fenced(&name, expected, to, fence);
            moved.await?;
        }
        None => log.checkpoints.store(&name, expected, to).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn raise_fence(
    State(log): State<Log>,
    Path(name): Path<String>,
) -> ApiResult<(StatusCode, Json<Fence>)> {
    reserved::check_name(&name)?;
    let fence = log.fences.raise(&name).await?;
    Ok((StatusCode::CREATED, Json(fence)))
}
