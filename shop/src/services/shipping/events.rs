//! What shipping does when it hears of something, in the choreographed flow only: send what is paid.

use ieum::messaging::Message;

use super::api::{created, failed};
use super::store::{self, Parcel};
use crate::support::failure::Reply;
use crate::support::work::{CHOREOGRAPHED, Work};

/// `payment.completed`: send it.
pub(super) fn on_payment(work: &Work<'_>, message: &Message) -> Reply<()> {
    let parcel: Parcel = message.decode()?;
    let order_id = &parcel.order_id;
    match store::create(work, &parcel)? {
        Ok(shipment) => work.publish(
            "shipment.created",
            order_id,
            CHOREOGRAPHED,
            &created(&shipment),
        ),
        Err(why) => work.publish(
            "shipment.failed",
            order_id,
            CHOREOGRAPHED,
            &failed(order_id, why),
        ),
    }
}
