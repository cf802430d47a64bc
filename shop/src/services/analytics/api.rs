//! The HTTP interface of analytics.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::store;
use crate::support::failure::Reply;
use crate::support::service::Service;
use crate::support::web::Caller;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/analytics/summary", get(summary))
        .with_state(service)
}

/// The numbers.
#[derive(Serialize)]
struct Summary {
    /// How often each thing happened: `user_registered`, `order_placed`, …
    events: BTreeMap<String, i64>,
    /// What came in and did not go back, in minor units.
    revenue: i64,
}

/// The numbers, for the staff.
async fn summary(State(service): State<Arc<Service>>, caller: Caller) -> Reply<Json<Summary>> {
    caller.must_be_admin()?;
    let summary = service.read(|db| {
        Ok(Summary {
            events: store::counts(db)?,
            revenue: store::revenue(db)?,
        })
    });
    Ok(Json(summary.await?))
}
