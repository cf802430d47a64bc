//! Traces over HTTP: the OTLP receiver, the list, and one trace by its id or by what it is about.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use ieum_remote::wire::traces::{ListTraces, Trace, Traces};
use ieum_base::redact;
use serde_json::{Value, json};

use super::extract::{Json, Path, Query};
use super::limits;
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiResult};
use crate::traces::{ExportRequest, Store, read_otlp};

/// The routes of traces.
pub(crate) fn routes(store: Store) -> Routes {
    Routes::new()
        .add(
            Operation::post("/v1/traces", "exportTraces")
                .summary("Takes spans in OTLP/HTTP, JSON encoding.")
                .body("ExportTraceServiceRequest")
                .answers(200, "taken", "ExportTraceServiceResponse")
                .refuses(&[errors::MEDIA_TYPE]),
            export,
        )
        .add(
            Operation::get("/api/v1/traces", "listTraces")
                .summary("Lists the latest traces, the latest first.")
                .query("limit", "the most in the answer, 1 to 1000")
                .answers(200, "the traces", "Traces"),
            list,
        )
        .add(
            Operation::get("/api/v1/traces/{id}", "getTrace")
                .summary("Answers one trace by its id, or by the id of the order or saga in it.")
                .answers(200, "the trace", "Trace")
                .refuses(&[errors::NOT_FOUND]),
            get,
        )
        .with_state(store)
}

async fn export(
    State(store): State<Store>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let plain = headers.get(header::CONTENT_ENCODING).is_none();
    if !media_type.starts_with("application/json") || !plain {
        let detail = "OTLP is taken as application/json without compression: set \
                      OTEL_EXPORTER_OTLP_PROTOCOL=http/json and OTEL_EXPORTER_OTLP_COMPRESSION=none";
        return Err(errors::MEDIA_TYPE.problem(detail).into());
    }
    let request: ExportRequest = serde_json::from_slice(&body).map_err(|error| {
        let why = error.to_string();
        let why = redact::parser_message(&why);
        errors::MALFORMED_BODY.problem(format!("not OTLP: {why}"))
    })?;
    let (spans, rejected) = read_otlp(request);
    store.add(spans);
    Ok(Json(if rejected == 0 {
        json!({})
    } else {
        let message = "spans with a malformed id or time were dropped";
        json!({"partialSuccess": {"rejectedSpans": rejected.to_string(), "errorMessage": message}})
    }))
}

async fn list(
    State(store): State<Store>,
    Query(query): Query<ListTraces>,
) -> ApiResult<Json<Traces>> {
    let traces = store.latest(limits::page(query.limit)?);
    Ok(Json(Traces { traces }))
}

async fn get(State(store): State<Store>, Path(id): Path<String>) -> ApiResult<Json<Trace>> {
    let trace = store.find(&id).ok_or_else(|| {
        errors::NOT_FOUND.problem(format!(
            "no trace with this id is kept, and none that is about an order or saga `{id}`"
        ))
    })?;
    Ok(Json(trace))
}
