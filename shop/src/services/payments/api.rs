//! The HTTP interface of payments.

use ieum::chassis::{Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use ieum::base::Secret;
use ieum::http::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::card::{self, Brand, CardError, CardNumber};
use super::store::{self, Card, Charge, Payment};
use crate::support::failure::{Failure, Reply};
use crate::support::participant::{Answer, Call};
use crate::support::service::Service;
use crate::support::web::may_act_for;
use crate::support::work::ORCHESTRATED;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/payments", get(list).post(charge))
        .route("/payments/cards", post(swap))
        .route("/payments/refund", post(refund))
        .with_state(service)
}

/// A card as it is entered. It has no `Debug`, so that it cannot be logged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entered {
    number: Secret,
    exp_month: u8,
    exp_year: u16,
    cvc: Secret,
}

/// What is left of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Swapped {
    card_token: String,
    last4: String,
    brand: Brand,
}

/// Swaps a card number for a token of the caller's.
async fn swap(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Json(entered): Json<Entered>,
) -> Reply<(StatusCode, Json<Swapped>)> {
    let number = CardNumber::parse(&entered.number).map_err(refuse)?;
    card::check_cvc(&entered.cvc).map_err(refuse)?;
    card::check_expiry(entered.exp_month, entered.exp_year, service.clock().now())
        .map_err(refuse)?;
    let card = Card {
        token: format!("card_{}", ieum::base::Uuid::new_v4().simple()),
        user_id: caller.user_id,
        last4: number.last4(),
        brand: number.brand(),
        exp_month: entered.exp_month,
        exp_year: entered.exp_year,
        decline: number.decline(),
    };
    let swapped = Swapped {
        card_token: card.token.clone(),
        last4: card.last4.clone(),
        brand: card.brand,
    };
    service
        .write(move |work| store::keep_card(work, &card))
        .await?;
    Ok((StatusCode::CREATED, Json(swapped)))
}

fn refuse(error: CardError) -> Failure {
    let detail = match error {
        CardError::Number => "the card number is not valid",
        CardError::Expired => "the card has expired, or the date is not one",
        CardError::Cvc => "the security code has three or four digits",
    };
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), detail)
}

/// Charges an order. A declined payment is a final no.
async fn charge(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(charge): Json<Charge>,
) -> Reply<Response> {
    service
        .participate(call, move |work| {
            let payment = store::charge(work, &charge)?;
            match &payment.decline_code {
                None => {
                    let data = completed(&payment);
                    work.publish("payment.completed", &payment.order_id, ORCHESTRATED, &data)?;
                    Ok(Answer::json(StatusCode::CREATED, data))
                }
                Some(decline) => {
                    let data = failed(&payment.order_id, decline);
                    work.publish("payment.failed", &payment.order_id, ORCHESTRATED, &data)?;
                    Ok(Answer::refusal(
                        &Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
                            .code("payment-declined")
                            .title("Payment declined")
                            .detail(format!("the card was declined: {decline}"))
                            .with("declineCode", decline.as_str()),
                    ))
                }
            }
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refund {
    order_id: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Gives an order's money back.
async fn refund(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(refund): Json<Refund>,
) -> Reply<Response> {
    service
        .participate(call, move |work| {
            let refunded = store::refund(work, &refund.order_id)?;
            let amount: i64 = refunded.iter().map(|payment| payment.amount).sum();
            let data = json!({
                "orderId": refund.order_id, "amount": amount, "reason": refund.reason,
            });
            if !refunded.is_empty() {
                work.publish("payment.refunded", &refund.order_id, ORCHESTRATED, &data)?;
            }
            Ok(Answer::json(StatusCode::OK, data))
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfOrder {
    order_id: String,
}

/// The payments of an order, as far as they are the caller's.
async fn list(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Query(query): Query<OfOrder>,
) -> Reply<Json<Vec<Payment>>> {
    let mut payments = service
        .read(move |db| store::of_order(db, &query.order_id))
        .await?;
    payments.retain(|payment| may_act_for(&caller, &payment.user_id));
    Ok(Json(payments))
}

/// The facts of `payment.completed`.
pub(super) fn completed(payment: &Payment) -> serde_json::Value {
    json!({
        "orderId": payment.order_id,
        "paymentId": payment.id,
        "userId": payment.user_id,
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
    })
}

/// The facts of `payment.failed`.
pub(super) fn failed(order_id: &str, decline: &str) -> serde_json::Value {
    json!({ "orderId": order_id, "reason": "payment-declined", "declineCode": decline })
}
