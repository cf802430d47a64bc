//! The HTTP interface of orders. An order is its customer's and the staff's.

use ieum::chassis::{Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use ieum::base::redact;
use serde::{Deserialize, Serialize};

use super::domain::{Address, Created, Flow, MAX_ITEMS};
use super::store::{self, View};
use super::upstream::{self, Wanted};
use super::{read_model, upstream::Basket};
use crate::support::failure::{Failure, Reply};
use crate::support::idempotency::Key;
use crate::support::participant::Answer;
use crate::support::service::Service;
use crate::support::web::{Page, may_act_for};

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/orders", get(list).post(place))
        .route("/orders/{id}", get(show))
        .with_state(service)
}

/// What an order says.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    /// Whom it is for; only the staff orders for others.
    #[serde(default)]
    user_id: Option<String>,
    items: Vec<Wanted>,
    /// From `POST /payments/cards`; without it the customer's account is charged.
    #[serde(default)]
    card_token: Option<String>,
    /// Where to send it; without it, it is collected at the counter.
    #[serde(default)]
    address: Option<Address>,
    #[serde(default)]
    flow: Flow,
}

/// Places an order. With an `Idempotency-Key`, once: sent again it is given the same answer.
async fn place(
    State(service): State<Arc<Service>>,
    caller: Identity,
    key: Key,
    Json(body): Json<Place>,
) -> Reply<Response> {
    let user_id = body
        .user_id
        .clone()
        .unwrap_or_else(|| caller.user_id.clone());
    if !may_act_for(&caller, &user_id) {
        let detail = "an order is for yourself; only the staff orders for others";
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    if body.items.is_empty() || body.items.len() > MAX_ITEMS {
        return Err(Failure::invalid(format!(
            "an order has 1 to {MAX_ITEMS} lines"
        )));
    }
    // What is in an order is stored and told to others: a card number must not slip in.
    let text = serde_json::to_string(&body)?;
    if redact::has_card_number(&text) {
        return Err(Failure::invalid(
            "a card number is no part of an order; cards are entered at /payments/cards",
        ));
    }
    let request = key.of(&caller, "POST /orders", &body)?;
    if let Some(answer) = service.recall(request.clone()).await? {
        return Ok(answer);
    }
    let Basket {
        user_name,
        currency,
        items,
    } = upstream::look_up(service.client(), &caller, &user_id, &body.items).await?;
    let created = Created {
        user_id,
        user_name,
        currency,
        card_token: body.card_token,
        address: body.address,
        flow: body.flow,
    };
    service
        .once(request, move |work| {
            let view = store::place(work, created, items)?;
            Ok(Answer::json(
                StatusCode::CREATED,
                serde_json::to_value(view)?,
            ))
        })
        .await
}

/// One order, from its events.
async fn show(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Path(id): Path<String>,
) -> Reply<Json<View>> {
    let order = service.read(move |db| store::find(db, &id)).await?;
    order
        .filter(|order| may_act_for(&caller, &order.user_id))
        .map(Json)
        .ok_or_else(|| Failure::not_found("order"))
}

/// The caller's orders, latest first, from the read model.
async fn list(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Query(page): Query<Page>,
) -> Reply<(HeaderMap, Json<Vec<View>>)> {
    let (limit, after) = (page.limit(), page.after.clone());
    let orders = service
        .read(move |db| read_model::of_user(db, &caller.user_id, after.as_deref(), limit))
        .await?;
    let last = orders.last().map(|order| order.id.as_str());
    let headers = page.next("/orders", last, orders.len());
    Ok((headers, Json(orders)))
}
