//! The HTTP interface of shipping.

use ieum::chassis::{Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use ieum::http::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::store::{self, Parcel, Shipment};
use crate::support::failure::Reply;
use crate::support::participant::{Answer, Call};
use crate::support::service::Service;
use crate::support::web::may_act_for;
use crate::support::work::ORCHESTRATED;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/shipments", get(list).post(create))
        .route("/shipments/cancel", post(cancel))
        .with_state(service)
}

/// Creates a shipment. An address that nobody delivers to is a final no.
async fn create(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(parcel): Json<Parcel>,
) -> Reply<Response> {
    service
        .participate(call, move |work| match store::create(work, &parcel)? {
            Ok(shipment) => {
                let data = created(&shipment);
                work.publish("shipment.created", &parcel.order_id, ORCHESTRATED, &data)?;
                Ok(Answer::json(StatusCode::CREATED, data))
            }
            Err(why) => {
                let data = failed(&parcel.order_id, why);
                work.publish("shipment.failed", &parcel.order_id, ORCHESTRATED, &data)?;
                Ok(Answer::refusal(
                    &Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
                        .code("address-undeliverable")
                        .title("Address undeliverable")
                        .detail(why),
                ))
            }
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfOrder {
    order_id: String,
}

/// Cancels an order's shipment.
async fn cancel(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(body): Json<OfOrder>,
) -> Reply<Response> {
    service
        .participate(call, move |work| {
            let data = json!({ "orderId": body.order_id });
            if store::cancel(work, &body.order_id)? {
                work.publish("shipment.cancelled", &body.order_id, ORCHESTRATED, &data)?;
            }
            Ok(Answer::json(StatusCode::OK, data))
        })
        .await
}

/// The shipments of an order, as far as they are the caller's.
async fn list(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Query(query): Query<OfOrder>,
) -> Reply<Json<Vec<Shipment>>> {
    let mut shipments = service
        .read(move |db| store::of_order(db, &query.order_id))
        .await?;
    shipments.retain(|shipment| may_act_for(&caller, &shipment.user_id));
    Ok(Json(shipments))
}

/// The facts of `shipment.created`.
pub(super) fn created(shipment: &Shipment) -> Value {
    json!({ "orderId": shipment.order_id, "shipmentId": shipment.id, "status": shipment.status })
}

/// The facts of `shipment.failed`.
pub(super) fn failed(order_id: &str, why: &str) -> Value {
    json!({ "orderId": order_id, "reason": "address-undeliverable", "detail": why })
}
