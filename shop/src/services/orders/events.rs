//! What orders does when it hears of something, in the choreographed flow only: settle an order that
//! is on its way, give up one whose pieces could not be set aside or were put back.

use ieum::messaging::Message;
use serde::Deserialize;

use super::domain::Command;
use super::store;
use crate::support::failure::Reply;
use crate::support::work::Work;

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

/// `shipment.created`: the order is settled, and done.
pub(super) fn on_shipping(work: &Work<'_>, message: &Message) -> Reply<()> {
    let shipped: Shipped = message.decode()?;
    store::act(work, &shipped.order_id, &Command::Confirm)?;
    store::act(work, &shipped.order_id, &Command::Complete)?;
    Ok(())
}

/// `inventory.rejected`, `inventory.released`: the order is given up. The pieces are put back last,
/// so a cancelled order is one for which everything is undone.
pub(super) fn on_inventory(work: &Work<'_>, message: &Message) -> Reply<()> {
    let refused: Refused = message.decode()?;
    let command = Command::Cancel {
        reason: refused.reason,
    };
    store::act(work, &refused.order_id, &command).map(drop)
}
