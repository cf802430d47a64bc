//! The platform's own health, metrics and error pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use ieum_base::Stop;
use serde::Serialize;

use super::extract::{Json, Path};
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiResult, ErrorCode};

/// A check of a part of the platform; an error says what is wrong with it.
pub(crate) type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the routes of health work on.
#[derive(Clone)]
pub(crate) struct Vitals {
    /// The checks by name.
    pub(crate) checks: Arc<BTreeMap<&'static str, Check>>,
    /// Checks of what this process can do without for a while: one that fails is told, with 200.
    pub(crate) remarks: Arc<BTreeMap<&'static str, Check>>,
    /// Requested when this process is to be sent nothing new any more.
    pub(crate) retired: Stop,
    /// The metrics of everything in this process, in the text format of Prometheus.
    pub(crate) metrics: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
}

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    checks: BTreeMap<&'static str, CheckResult>,
}

#[derive(Serialize)]
struct CheckResult {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The routes of health, metrics and error pages.
pub(crate) fn routes(vitals: Vitals) -> Routes {
    Routes::new()
        .add(
            Operation::get("/health", "health")
                .summary(
                    "Checks the parts of the platform; 503 names the one that failed, or says that \
                     the process is `stopping`.",
                )
                .answers(
                    200,
                    "all is well, or well enough to work (`degraded`)",
                    "Health",
                )
                .answers(503, "something is not", "Health"),
            health,
        )
        .add(
            Operation::get("/metrics", "metrics")
                .summary("Metrics of the platform and of its gateway, in the format of Prometheus.")
                .answers(200, "the metrics as text", "Text"),
            metrics,
        )
        .add(
            Operation::get("/api/v1/errors/{code}", "explainError")
                .summary("Explains an error code: what happened, and what to do.")
                .answers(200, "the page in Markdown", "Text")
                .refuses(&[errors::NOT_FOUND]),
            explain,
        )
        .with_state(vitals)
}

async fn health(State(vitals): State<Vitals>) -> impl IntoResponse {
    let mut checks = run(&vitals.checks).await;
    let can_work = is_well(&checks);
    checks.append(&mut run(&vitals.remarks).await);
    let (code, status) = if vitals.retired.is_requested() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !can_work {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    } else if !is_well(&checks) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "healthy")
    };
    (code, Json(Health { status, checks }))
}

async fn run(checks: &BTreeMap<&'static str, Check>) -> BTreeMap<&'static str, CheckResult> {
    let mut results = BTreeMap::new();
    for (&name, check) in checks {
        let result = tokio::time::timeout(CHECK_TIMEOUT, check()).await;
        let error = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        };
        let status = if error.is_none() { "ok" } else { "error" };
        results.insert(name, CheckResult { status, error });
    }
    results
}

fn is_well(checks: &BTreeMap<&'static str, CheckResult>) -> bool {
    checks.values().all(|check| check.error.is_none())
}

async fn metrics(State(vitals): State<Vitals>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        (vitals.metrics)().await,
    )
}

async fn explain(Path(code): Path<String>) -> ApiResult<impl IntoResponse> {
    let row = ErrorCode::find(&code)
        .ok_or_else(|| errors::NOT_FOUND.problem(format!("no error has the code `{code}`")))?;
    let content_type = "text/markdown; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], row.page))
}
