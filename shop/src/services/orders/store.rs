//! The streams of orders, and what is done to them inside a transaction.

use http::StatusCode;
use ieum::base::Timestamp;
use ieum::sql::Reader;
use serde::Serialize;
use serde_json::{Value, json};

use super::domain::{Command, Created, Event, Flow, Item, Order, Refusal, Rules, Status};
use crate::support::failure::{Failure, Reply};
use crate::support::streams;
use crate::support::work::Work;

/// The category of the orders' streams.
pub(super) const CATEGORY: &str = "order";

/// An order, as others see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) user_name: String,
    pub(super) items: Vec<Item>,
    /// Minor units (S1's name).
    pub(super) total: i64,
    /// The same (S4's name).
    pub(super) total_amount: i64,
    pub(super) currency: String,
    pub(super) status: Status,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) flow: Flow,
    pub(super) created_at: Timestamp,
}

/// Places an order: its events and its two messages.
pub(super) fn place(work: &Work<'_>, created: Created, items: Vec<Item>) -> Reply<View> {
    let id = work.new_id().to_string();
    act(work, &id, &Command::Place { created, items })?;
    let view = find(work, &id)?.ok_or_else(|| Failure::internal("a new order is missing"))?;
    Ok(view)
}

/// Decides, appends what happened, and publishes it: one transaction.
pub(super) fn act(work: &Work<'_>, id: &str, command: &Command) -> Reply<Order> {
    let stream = streams::name(CATEGORY, id)?;
    let acted = streams::act(work, &Rules, &stream, command)?.map_err(refuse)?;
    for event in &acted.events {
        publish(work, id, &acted.state, event)?;
    }
    Ok(acted.state)
}

/// The order with this id, folded from its events.
pub(super) fn find(db: &Reader<'_>, id: &str) -> Reply<Option<View>> {
    let stream = streams::name(CATEGORY, id)?;
    let events = streams::read(db, &stream)?;
    let Some(created_at) = events.first().map(|event| event.recorded_at) else {
        return Ok(None);
    };
    let order = streams::fold(&Rules, &events)?.state;
    Ok(view(id, order, created_at))
}

/// How an order is shown; `None` if it was never placed.
pub(super) fn view(id: &str, order: Order, created_at: Timestamp) -> Option<View> {
    let total = order.total();
    let created = order.created?;
    Some(View {
        id: id.to_owned(),
        user_id: created.user_id,
        user_name: created.user_name,
        items: order.items,
        total,
        total_amount: total,
        currency: created.currency.to_string(),
        status: order.status,
        reason: order.reason,
        flow: created.flow,
        created_at,
    })
}

/// Tells the others what happened to an order.
fn publish(work: &Work<'_>, id: &str, order: &Order, event: &Event) -> Reply<()> {
    let Some(created) = &order.created else {
        return Ok(());
    };
    let flow = Some(created.flow.as_str());
    let say = |kind: &'static str, data: &Value| work.publish(kind, id, flow, data);
    match event {
        Event::OrderCreated(_) => {
            let data = placed(id, order, created)?;
            say("order.created", &data)?;
            say("order.placed", &data)
        }
        Event::ItemAdded(_) => Ok(()),
        Event::OrderConfirmed {} => say("order.confirmed", &outcome(id, order, created)),
        Event::OrderCompleted {} => say("order.completed", &outcome(id, order, created)),
        Event::OrderCancelled { .. } => say("order.cancelled", &outcome(id, order, created)),
    }
}

/// Everything that the flow needs to know; of a card, only its token.
fn placed(id: &str, order: &Order, created: &Created) -> Reply<Value> {
    Ok(json!({
        "orderId": id,
        "userId": created.user_id,
        "userName": created.user_name,
        "items": serde_json::to_value(&order.items)?,
        "totalAmount": order.total(),
        "currency": created.currency.to_string(),
        "cardToken": created.card_token,
        "address": serde_json::to_value(&created.address)?,
    }))
}

fn outcome(id: &str, order: &Order, created: &Created) -> Value {
    json!({
        "orderId": id,
        "userId": created.user_id,
        "totalAmount": order.total(),
        "currency": created.currency.to_string(),
        "status": order.status.as_str(),
        "reason": order.reason,
    })
}

fn refuse(refusal: Refusal) -> Failure {
    let unprocessable =
        |code, detail: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    match refusal {
        Refusal::NotFound => Failure::not_found("order"),
        Refusal::Exists => Failure::new(
            StatusCode::CONFLICT,
            "order-exists",
            "the order was placed before",
        ),
        Refusal::BadItems => unprocessable(
            "invalid-items",
            "an order has 1 to 50 lines of 1 to 1,000 pieces each",
        ),
        Refusal::BadCardToken => unprocessable(
            "invalid-card-token",
            "cardToken is what POST /payments/cards answers; a card number is never sent with an order",
        ),
        Refusal::BadTotal => unprocessable("invalid-total", "the total is out of range"),
        Refusal::WrongStatus(status) => Failure::new(
            StatusCode::CONFLICT,
            "wrong-status",
            format!("the order is {}", status.as_str()),
        ),
    }
}
