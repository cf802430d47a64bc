//! Sagas over HTTP: definitions, starting, looking, and an operator's commands.
//!
//! The bodies are those of `ieum_remote::wire::sagas`; a saga itself is `ieum_saga::SagaView`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ieum_base::{Retry, Uuid, redact, trace};
use ieum_http::propagation;
use ieum_remote::wire::sagas::{
    Command, Defined, Definitions, List, Liveness, Sagas, Start, Started,
};
use ieum_saga::definition::Definition;
use ieum_saga::engine::{self, DefinitionSummary};
use ieum_saga::state::Status;
use ieum_saga::{ErrorKind, Handle, Obeyed, SagaView};
use serde::de::DeserializeOwned;

use super::extract::{Json, Path, Query};
use super::limits;
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiError, ApiResult};

/// What commands are refused with.
const COMMAND: &[&errors::ErrorCode] = &[
    errors::SAGA_UNKNOWN,
    errors::SAGA_ENDED,
    errors::SAGA_SUPERSEDED,
    errors::STOPPING,
    errors::LOG_UNAVAILABLE,
];

/// Among several platforms.
const ACCEPTED: &str = "durable; the platform that owns the saga has not answered yet";

/// The routes of sagas.
pub(crate) fn routes(engine: Handle) -> Routes {
    commands(definitions(Routes::new()))
        .add(
            Operation::post("/api/v1/sagas", "startSaga")
                .summary("Starts a saga; the same definition and key start it once.")
                .body("StartSaga")
                .answers(201, "started and durable", "SagaStarted")
                .answers(200, "the key had started it before", "SagaStarted")
                .refuses(&[
                    errors::SAGA_UNKNOWN_DEFINITION,
                    errors::SAGA_INVALID_START,
                    errors::SAGA_TOO_LARGE,
                    errors::SAGA_KEY_REUSED,
                    errors::SAGA_BUSY,
                    errors::SAGA_SUPERSEDED,
                    errors::STOPPING,
                    errors::LOG_UNAVAILABLE,
                ]),
            start,
        )
        .add(
            Operation::get("/api/v1/sagas", "listSagas")
                .summary("Lists the open sagas and the last finished ones, the latest first.")
                .query(
                    "state",
                    "running, compensating, parked, completed or compensated",
                )
                .query("definition", "only sagas of this definition")
                .query("limit", "the most sagas in the answer, 1 to 1000")
                .answers(200, "the sagas", "Sagas"),
            list,
        )
        .add(
            Operation::get("/api/v1/sagas/liveness", "sagaLiveness")
                .summary("Lists the open sagas that nothing will move; there must be none.")
                .answers(
                    200,
                    "the stalled sagas, each with the reason",
                    "StalledSagas",
                ),
            liveness,
        )
        .add(
            Operation::get("/api/v1/sagas/{id}", "getSaga")
                .summary("Answers one saga with its steps and its history.")
                .answers(200, "the saga", "Saga")
                .refuses(&[
                    errors::SAGA_UNKNOWN,
                    errors::SAGA_UNREADABLE,
                    errors::LOG_UNAVAILABLE,
                ]),
            get,
        )
        .with_state(engine)
}

fn definitions(routes: Routes<Handle>) -> Routes<Handle> {
    routes
        .add(
            Operation::put("/api/v1/sagas/definitions/{name}", "defineSaga")
                .summary("Stores a definition; sagas in flight keep the version they have.")
                .body("SagaDefinition")
                .answers(201, "the first of this name", "SagaDefined")
                .answers(
                    200,
                    "a later version, or the current one again",
                    "SagaDefined",
                )
                .refuses(&[
                    errors::SAGA_INVALID_DEFINITION,
                    errors::SAGA_SUPERSEDED,
                    errors::STOPPING,
                    errors::LOG_UNAVAILABLE,
                ]),
            define,
        )
        .add(
            Operation::get("/api/v1/sagas/definitions", "listSagaDefinitions")
                .summary("Lists the definitions in their latest versions.")
                .answers(200, "the definitions by name", "SagaDefinitions"),
            list_definitions,
        )
        .add(
            Operation::get("/api/v1/sagas/definitions/{name}", "getSagaDefinition")
                .summary("Answers one definition in its latest version.")
                .answers(200, "the definition", "SagaDefinitionState")
                .refuses(&[errors::SAGA_UNKNOWN_DEFINITION]),
            get_definition,
        )
}

fn commands(routes: Routes<Handle>) -> Routes<Handle> {
    routes
        .add(
            Operation::post("/api/v1/sagas/{id}/cancel", "cancelSaga")
                .summary("Asks for a saga to be undone; refused from its pivot on.")
                .body("SagaCommand")
                .answers_empty(204, "written down and durable")
                .answers_empty(202, ACCEPTED)
                .refuses(COMMAND)
                .refuses(&[errors::SAGA_TOO_LATE]),
            cancel,
        )
        .add(
            Operation::post("/api/v1/sagas/{id}/resume", "resumeSaga")
                .summary("Lets a parked saga go on, in the direction that it had.")
                .body("SagaCommand")
                .answers_empty(204, "written down and durable")
                .answers_empty(202, ACCEPTED)
                .refuses(COMMAND)
                .refuses(&[errors::SAGA_NOT_PARKED]),
            resume,
        )
        .add(
            Operation::post("/api/v1/sagas/{id}/retry", "retrySaga")
                .summary("Ends the wait before a saga's next attempt.")
                .answers_empty(204, "it tries now")
                .answers_empty(202, ACCEPTED)
                .refuses(COMMAND),
            retry,
        )
}

async fn start(
    State(engine): State<Handle>,
    headers: HeaderMap,
    Json(start): Json<Start>,
) -> ApiResult<(StatusCode, Json<Started>)> {
    let receipt = engine
        .start(ieum_saga::Start {
            definition: start.definition,
            key: start.key,
            input: start.input,
            trace: trace::current().or_else(|| propagation::extract(&headers)),
        })
        .await?;
    let status = if receipt.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let started = Started {
        id: receipt.id.to_string(),
        duplicate: !receipt.created,
    };
    Ok((status, Json(started)))
}

async fn list(State(engine): State<Handle>, Query(query): Query<List>) -> ApiResult<Json<Sagas>> {
    let sagas = engine.list(&engine::List {
        status: query.state.as_deref().map(status).transpose()?,
        definition: query.definition,
        limit: limits::page(query.limit)?,
    });
    Ok(Json(Sagas { sagas }))
}

async fn liveness(State(engine): State<Handle>) -> Json<Liveness> {
    let stalled = engine.liveness();
    Json(Liveness { stalled })
}

async fn get(State(engine): State<Handle>, Path(id): Path<String>) -> ApiResult<Json<SagaView>> {
    Ok(Json(engine.get(saga_id(&id)?).await?))
}

async fn define(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Defined>)> {
    let definition: Definition = read(&body)?;
    if definition.name != name {
        let detail = format!(
            "the path says `{name}`, the definition says `{}`",
            definition.name
        );
        return Err(errors::SAGA_INVALID_DEFINITION.problem(detail).into());
    }
    let defined = engine.define(definition).await?;
    let status = if defined.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let defined = Defined {
        name: defined.name,
        hash: defined.hash.to_string(),
    };
    Ok((status, Json(defined)))
}

async fn list_definitions(State(engine): State<Handle>) -> Json<Definitions> {
    let definitions = engine.definitions();
    Json(Definitions { definitions })
}

async fn get_definition(
    State(engine): State<Handle>,
    Path(name): Path<String>,
) -> ApiResult<Json<DefinitionSummary>> {
    let mut definitions = engine.definitions().into_iter();
    let found = definitions.find(|definition| definition.name == name);
    found.map(Json).ok_or_else(|| {
        let detail = format!("no saga is defined as `{name}`");
        errors::SAGA_UNKNOWN_DEFINITION.problem(detail).into()
    })
}

async fn cancel(
    State(engine): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult<StatusCode> {
    let obeyed = engine.cancel(saga_id(&id)?, command(&body)?.reason).await?;
    Ok(status_of(obeyed))
}

async fn resume(
    State(engine): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult<StatusCode> {
    let obeyed = engine.resume(saga_id(&id)?, command(&body)?.reason).await?;
    Ok(status_of(obeyed))
}

async fn retry(State(engine): State<Handle>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    Ok(status_of(engine.retry_now(saga_id(&id)?).await?))
}

const fn status_of(obeyed: Obeyed) -> StatusCode {
    match obeyed {
        Obeyed::Done => StatusCode::NO_CONTENT,
        Obeyed::Accepted => StatusCode::ACCEPTED,
    }
}

/// What is no id is no saga's id.
fn saga_id(id: &str) -> ApiResult<Uuid> {
    id.parse().map_err(|_| {
        let id: String = id.chars().take(100).collect();
        errors::SAGA_UNKNOWN
            .problem(format!("there is no saga `{id}`"))
            .into()
    })
}

fn status(text: &str) -> ApiResult<Status> {
    let read = |text: &str| serde_json::from_value(serde_json::Value::from(text)).ok();
    read(text).ok_or_else(|| {
        let detail = "`state` is running, compensating, parked, completed or compensated";
        errors::MALFORMED_PARAMETER.problem(detail).into()
    })
}

/// The body of a command may be left out.
fn command(body: &Bytes) -> ApiResult<Command> {
    if body.is_empty() {
        return Ok(Command::default());
    }
    read(body)
}

fn read<T: DeserializeOwned>(body: &Bytes) -> ApiResult<T> {
    serde_json::from_slice(body).map_err(|error| {
        let why = error.to_string();
        let why = redact::parser_message(&why);
        let detail = format!("the body is not as expected: {why}");
        errors::MALFORMED_BODY.problem(detail).into()
    })
}

impl From<ieum_saga::Error> for ApiError {
    fn from(error: ieum_saga::Error) -> Self {
        if error.fault() == ieum_base::Fault::Here {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a request of sagas failed"
            );
        }
        let code = match error.kind() {
            ErrorKind::UnknownSaga => errors::SAGA_UNKNOWN,
            ErrorKind::UnknownDefinition => errors::SAGA_UNKNOWN_DEFINITION,
            ErrorKind::InvalidDefinition(_) => errors::SAGA_INVALID_DEFINITION,
            ErrorKind::InvalidInput => errors::SAGA_INVALID_START,
            ErrorKind::TooLarge { .. } => errors::SAGA_TOO_LARGE,
            ErrorKind::KeyReused => errors::SAGA_KEY_REUSED,
            ErrorKind::TooLate => errors::SAGA_TOO_LATE,
            ErrorKind::Ended => errors::SAGA_ENDED,
            ErrorKind::NotParked => errors::SAGA_NOT_PARKED,
            ErrorKind::Busy => errors::SAGA_BUSY,
            ErrorKind::Superseded => errors::SAGA_SUPERSEDED,
            ErrorKind::Stopping => errors::STOPPING,
            ErrorKind::Log => errors::LOG_UNAVAILABLE,
            ErrorKind::Unreadable => errors::SAGA_UNREADABLE,
            _ => errors::INTERNAL,
        };
        let mut problem = code.problem(error.to_string());
        if let ErrorKind::InvalidDefinition(invalid) = error.kind() {
            let problems: Vec<String> = invalid.problems.iter().map(ToString::to_string).collect();
            problem = problem.with("problems", problems);
        }
        if let Retry::After(wait) = error.retry() {
            problem = problem.retry_after(wait.as_secs().max(1));
        }
        problem.into()
    }
}

#[cfg(test)]
mod tests;
