//! `/v1/status`: who leads. There is one node, so it does.

use axum::routing::get;
use axum::{Json, Router};

use super::{Consul, LEADER};

pub(super) fn routes() -> Router<Consul> {
    Router::new()
        .route("/v1/status/leader", get(async || Json(LEADER)))
        .route("/v1/status/peers", get(async || Json([LEADER])))
}
