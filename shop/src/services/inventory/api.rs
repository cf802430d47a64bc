//! The HTTP interface of inventory.

use ieum::chassis::Json;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use ieum::http::Problem;
use serde::Deserialize;
use serde_json::json;

use super::domain::{Line, Refusal};
use super::store::{self, Shelf};
use crate::support::failure::{Failure, Reply};
use crate::support::participant::{Answer, Call};
use crate::support::service::Service;
use crate::support::work::ORCHESTRATED;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/inventory/{product_id}", get(show))
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}/release", post(release))
        .with_state(service)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    order_id: String,
    items: Vec<Line>,
}

async fn show(
    State(service): State<Arc<Service>>,
    Path(product_id): Path<String>,
) -> Reply<Json<Shelf>> {
    let shelf = service
        .read(move |db| store::shelf(db, &product_id))
        .await?;
    shelf
        .map(Json)
        .ok_or_else(|| Failure::not_found("product in stock"))
}

/// Sets an order's pieces aside. A product that is not known *yet* is worth another attempt; too few
/// pieces are a final no.
async fn reserve(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(order): Json<Reserve>,
) -> Reply<Response> {
    let act = move |work: &crate::support::work::Work<'_>| {
        let data = json!({ "orderId": order.order_id, "items": order.items });
        match store::reserve(work, &order.order_id, &order.items)? {
            Ok(()) => {
                work.publish("inventory.reserved", &order.order_id, ORCHESTRATED, &data)?;
                Ok(Answer::json(StatusCode::CREATED, data))
            }
            Err(Refusal::Unknown(product_id)) => Err(Failure::not_yet(
                StatusCode::TOO_EARLY,
                "unknown-product",
                &format!("nothing is known of product {product_id} yet"),
            )),
            Err(Refusal::Insufficient {
                product_id,
                wanted,
                stock,
            }) => Ok(Answer::refusal(
                &Problem::new(StatusCode::CONFLICT)
                    .code("insufficient-inventory")
                    .title("Insufficient inventory")
                    .detail(format!(
                        "{wanted} of product {product_id} are wanted, {stock} are there"
                    ))
                    .with("productId", product_id),
            )),
        }
    };
    service.participate(call, act).await
}

#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    reason: Option<String>,
}

/// Puts an order's pieces back.
async fn release(
    State(service): State<Arc<Service>>,
    Path(order_id): Path<String>,
    call: Call,
    Json(body): Json<Release>,
) -> Reply<Response> {
    service
        .participate(call, move |work| {
            store::release(work, &order_id)?;
            let data = json!({ "orderId": order_id, "reason": body.reason });
            work.publish("inventory.released", &order_id, ORCHESTRATED, &data)?;
            Ok(Answer::json(StatusCode::OK, data))
        })
        .await
}
