//! The HTTP interface of analytics.

use ieum::chassis::{ADMIN, Identity, Json};
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;

use super::store;
use crate::support::failure::Reply;
use crate::support::service::Service;

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
async fn summary(State(service): State<Arc<Service>>, caller: Identity) -> Reply<Json<Summary>> {
    caller.require_role(ADMIN)?;
    let summary = service.read(|db| {
        Ok(Summary {
            events: store::counts(db)?,
            revenue: store::revenue(db)?,
        })
    });
    Ok(Json(summary.await?))
}
