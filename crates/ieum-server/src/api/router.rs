//! Puts the routes together behind the guard.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde_json::Value;

use super::extract::Json;
use super::routes::{Operation, Routes};
use super::traces as traces_api;
use super::{Catalogue, Guard, Log, Topics, Vitals, guard, health, log, openapi, services, topics};
use crate::errors::{self, ApiError};
use crate::traces::Store;

/// Everything that the API shows.
pub(crate) struct Parts {
    /// Who may call.
    pub(crate) guard: Guard,
    /// The largest body, in bytes.
    pub(crate) max_body: usize,
    /// The log.
    pub(crate) log: Log,
    /// The topics.
    pub(crate) topics: Topics,
    /// The traces.
    pub(crate) traces: Store,
    /// Services and routes.
    pub(crate) catalogue: Catalogue,
    /// Health and metrics.
    pub(crate) vitals: Vitals,
    /// Further routes that are described, such as those of sagas.
    pub(crate) more: Vec<Routes>,
    /// Consul's API.
    pub(crate) consul: Router,
}

/// The whole API.
pub(crate) fn router(parts: Parts) -> Router {
    let mut routes = log::routes(parts.log)
        .merge(topics::routes(parts.topics))
        .merge(traces_api::routes(parts.traces))
        .merge(services::routes(parts.catalogue))
        .merge(health::routes(parts.vitals));
    for more in parts.more {
        routes = routes.merge(more);
    }
    described(routes)
        .merge(parts.consul)
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(parts.max_body))
        .layer(from_fn(catch_panic))
        .layer(from_fn_with_state(parts.guard, guard::admit))
}

/// The routes and, beside them, their own description.
fn described(routes: Routes) -> Router {
    let own = Operation::get("/api/openapi.json", "openapi")
        .summary("Describes this API (OpenAPI 3.1).")
        .answers(200, "the description", "Text");
    let (router, mut operations) = routes.into_parts();
    operations.push(own.clone());
    let document: Arc<Value> = Arc::new(openapi::document(&operations));
    let answer = move || {
        let document = Arc::clone(&document);
        async move { Json(document) }
    };
    let (itself, _) = Routes::new().add(own, answer).into_parts();
    router.merge(itself)
}

async fn no_such_path(uri: Uri) -> ApiError {
    let detail = format!("nothing lives at `{}`", uri.path());
    errors::NO_SUCH_PATH.problem(detail).into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("`{}` is not called with {method}", uri.path());
    errors::METHOD_NOT_ALLOWED.problem(detail).into()
}

/// A defect of ours ends one request and not its connection.
async fn catch_panic(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        tracing::error!("a handler of the platform API panicked");
        let problem = errors::INTERNAL.problem("the request met a defect of the platform");
        IntoResponse::into_response(problem)
    })
}
