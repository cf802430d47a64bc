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
use super::{
    Absent, Catalogue, Company, Guard, Live, Log, Topics, Vitals, guard, health, log, openapi,
    otlp, overview, platforms, services, topics,
};
use crate::errors::{self, ApiError};
use crate::live::Board;
use crate::traces::Store;

/// Everything that the API shows.
pub(crate) struct Parts {
    /// Who may call.
    pub(crate) guard: Guard,
    /// The largest body, in bytes.
    pub(crate) max_body: usize,
    /// The log; `None` in a process that owns none.
    pub(crate) log: Option<Log>,
    /// The topics, likewise.
    pub(crate) topics: Option<Topics>,
    /// The traces, likewise.
    pub(crate) traces: Option<Store>,
    /// What the console's live pages show, likewise.
    pub(crate) live: Option<Live>,
    /// The circuit breakers.
    pub(crate) breakers: Board,
    /// Services and routes.
    pub(crate) catalogue: Catalogue,
    /// The platforms on the log; `None` in a process that owns none.
    pub(crate) company: Option<Company>,
    /// Health and metrics.
    pub(crate) vitals: Vitals,
    /// Further routes that are described, such as those of sagas.
    pub(crate) more: Vec<Routes>,
    /// Consul's API, if the registry is here.
    pub(crate) consul: Option<Router>,
    /// What is not here, and where it is.
    pub(crate) absent: Vec<Absent>,
}

/// The whole API.
pub(crate) fn router(parts: Parts) -> Router {
    let otlp = parts.traces.clone().map(|store| otlp::Receiver {
        store,
        breakers: parts.breakers.clone(),
        max_body: parts.max_body,
    });
    let here = [
        parts.log.map(log::routes),
        parts.topics.map(topics::routes),
        parts.traces.map(traces_api::routes),
        otlp.clone().map(otlp::routes),
        parts.company.map(platforms::routes),
        parts.live.map(overview::routes),
        Some(overview::breaker_routes(parts.breakers)),
        Some(services::routes(parts.catalogue)),
        Some(health::routes(parts.vitals)),
    ];
    let here = here.into_iter().flatten().chain(parts.more);
    let routes = here.fold(Routes::new(), Routes::merge);
    let absent: Arc<[Absent]> = parts.absent.into();
    described(routes)
        .merge(otlp.map(otlp::grpc_routes).unwrap_or_default())
        .merge(parts.consul.unwrap_or_default())
        .merge(console())
        .fallback(move |uri: Uri| {
            let absent = Arc::clone(&absent);
            async move { nobody_answers(&absent, uri.path()) }
        })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(parts.max_body))
        .layer(from_fn(catch_panic))
        .layer(from_fn_with_state(parts.guard, guard::admit))
}

/// The console's files, if they are compiled in.
fn console() -> Router {
    #[cfg(feature = "console")]
    return crate::ui::routes();
    #[cfg(not(feature = "console"))]
    Router::new()
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

fn nobody_answers(absent: &[Absent], path: &str) -> ApiError {
    let elsewhere = absent.iter().find_map(|absent| absent.refuse(path));
    elsewhere.unwrap_or_else(|| {
        let detail = format!("nothing lives at `{path}`");
        errors::NO_SUCH_PATH.problem(detail).into()
    })
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
