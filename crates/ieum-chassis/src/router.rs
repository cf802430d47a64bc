//! The service's router in its frame: health, metrics, limits, problems for paths that lead nowhere.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::observe::{Observer, observe};
use crate::problems::{method_not_allowed, no_such_path};
use crate::{Health, Metrics, metrics};

/// Frames the service's own routes. `/health` and `/metrics` are asked every few seconds: they have
/// neither spans nor figures nor lines in the log.
pub(crate) fn frame(
    routes: Router,
    observer: Arc<Observer>,
    health: Health,
    metrics: Metrics,
    max_body: usize,
) -> Router {
    let observed = routes
        .fallback(|| async { no_such_path() })
        .method_not_allowed_fallback(|| async { method_not_allowed() })
        .layer(DefaultBodyLimit::max(max_body))
        .layer(from_fn_with_state(observer, observe));
    Router::new()
        .route("/health", get(show_health).with_state(health))
        .route("/metrics", get(show_metrics).with_state(metrics))
        .merge(observed)
}

async fn show_health(State(health): State<Health>) -> Response {
    let report = health.report().await;
    let uncached = [(CACHE_CONTROL, "no-store")];
    (report.status_code(), uncached, Json(report)).into_response()
}

async fn show_metrics(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, metrics::MEDIA_TYPE)], metrics.show().await).into_response()
}
