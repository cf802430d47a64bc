//! What payments does when it hears of something, in the choreographed flow only: charge when the
//! pieces are set aside, refund when nobody delivers.

use ieum::messaging::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{completed, failed};
use super::store::{self, Charge};
use crate::support::failure::Reply;
use crate::support::work::{CHOREOGRAPHED, Work};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShipmentFailed {
    order_id: String,
    reason: String,
}

/// `inventory.reserved`: charge. Shipping needs the address, so the order's data travel on.
pub(super) fn on_inventory(work: &Work<'_>, message: &Message) -> Reply<()> {
    let charge: Charge = message.decode()?;
    let payment = store::charge(work, &charge)?;
    match &payment.decline_code {
        None => {
            let mut data: Map<String, Value> = message.decode()?;
            if let Value::Object(facts) = completed(&payment) {
                data.extend(facts);
            }
            work.publish("payment.completed", &payment.order_id, CHOREOGRAPHED, &data)
        }
        Some(decline) => {
            let data = failed(&payment.order_id, decline);
            work.publish("payment.failed", &payment.order_id, CHOREOGRAPHED, &data)
        }
    }
}

/// `shipment.failed`: give the money back.
pub(super) fn on_shipping(work: &Work<'_>, message: &Message) -> Reply<()> {
    let failed: ShipmentFailed = message.decode()?;
    let refunded = store::refund(work, &failed.order_id)?;
    let amount: i64 = refunded.iter().map(|payment| payment.amount).sum();
    let data = json!({ "orderId": failed.order_id, "amount": amount, "reason": failed.reason });
    work.publish("payment.refunded", &failed.order_id, CHOREOGRAPHED, &data)
}
