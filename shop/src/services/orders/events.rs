//! What orders does when it hears of something: note how far the order is; and, in the choreographed
//! flow only, settle an order that is on its way, give up one whose pieces could not be set aside or
//! were put back.

use ieum::messaging::Message;
use serde::Deserialize;

use super::domain::Command;
use super::steps::{self, Step};
use super::store;
use crate::support::failure::Reply;
use crate::support::work::{CHOREOGRAPHED, Work};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shipped {
    order_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    order_id: String,
    reason: String,
}

/// `shipment.…`: the order is settled, and done, once there is a shipment.
pub(super) fn on_shipping(work: &Work<'_>, message: &Message) -> Reply<()> {
    let step = match message.kind.as_str() {
        "shipment.created" => Step::Shipped,
        "shipment.failed" => Step::Undeliverable,
        _ => Step::Recalled,
    };
    steps::note(work, step, message)?;
    if step == Step::Shipped && is_choreographed(message) {
        let shipped: Shipped = message.decode()?;
        store::act(work, &shipped.order_id, &Command::Confirm)?;
        store::act(work, &shipped.order_id, &Command::Complete)?;
    }
    Ok(())
}

/// `payment.…`: only noted.
pub(super) fn on_payment(work: &Work<'_>, message: &Message) -> Reply<()> {
    let step = match message.kind.as_str() {
        "payment.completed" => Step::Paid,
        "payment.failed" => Step::Declined,
        _ => Step::Refunded,
    };
    steps::note(work, step, message)
}

/// `inventory.…`: the order is given up if the pieces could not be set aside, or were put back. They
/// are put back last, so a cancelled order is one for which everything is undone.
pub(super) fn on_inventory(work: &Work<'_>, message: &Message) -> Reply<()> {
    let step = match message.kind.as_str() {
        "inventory.reserved" => Step::Reserved,
        "inventory.rejected" => Step::OutOfStock,
        _ => Step::Released,
    };
    steps::note(work, step, message)?;
    if step == Step::Reserved || !is_choreographed(message) {
        return Ok(());
    }
    let refused: Refused = message.decode()?;
    let command = Command::Cancel {
        reason: refused.reason,
    };
    store::act(work, &refused.order_id, &command).map(drop)
}

/// The saga engine asks for what it wants.
fn is_choreographed(message: &Message) -> bool {
    message.extension("flow") == CHOREOGRAPHED
}
