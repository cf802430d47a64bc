//! Traces over HTTP: the list, and one trace by its id or by what it is about.

use axum::extract::State;
use ieum_remote::wire::traces::{ListTraces, Trace, Traces};

use super::extract::{Json, Path, Query};
use super::limits;
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiResult};
use crate::traces::Store;

/// The routes of traces.
pub(crate) fn routes(store: Store) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/traces", "listTraces")
                .summary("Lists the latest traces, the latest first.")
                .query("limit", "the most in the answer, 1 to 1000")
                .query("service", "only those that this service took part in")
                .query("failed", "`true`: only those in which something failed; `false`: the others")
                .query("about", "only those about this order or saga")
                .answers(200, "the traces", "Traces"),
            list,
        )
        .add(
            Operation::get("/api/v1/traces/{id}", "getTrace")
                .summary("Answers one trace by its id, or by the id of the order or saga in it, with what was \
                     logged in it.")
                .answers(200, "the trace", "Trace")
                .refuses(&[errors::NOT_FOUND]),
            get,
        )
        .with_state(store)
}

async fn list(
    State(store): State<Store>,
    Query(query): Query<ListTraces>,
) -> ApiResult<Json<Traces>> {
    let traces = store.latest(&query, limits::page(query.limit)?);
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
