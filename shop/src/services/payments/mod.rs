//! payments: who paid what.
//!
//! Swaps card numbers for tokens, charges and refunds, and keeps a ledger in which every transaction
//! has two sides. A participant of the saga `place-order` and of the choreographed flow. An order
//! without a card is charged to the customer's account.

mod api;
mod card;
mod events;
mod ledger;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::service::{Hears, Service, Serving, Settings, Spec};
use crate::support::work::CHOREOGRAPHED;

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "payments",
    owner: "billing",
    topic: "payment.events",
    port: 3003,
    tables: &[store::TABLES],
    hears: &[
        Hears {
            topic: "inventory.events",
            kinds: &["inventory.reserved"],
            flow: CHOREOGRAPHED,
            act: events::on_inventory,
        },
        Hears {
            topic: "shipping.events",
            kinds: &["shipment.failed"],
            flow: CHOREOGRAPHED,
            act: events::on_shipping,
        },
    ],
};

/// Opens the database and begins to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.listen();
    service.serve(api::router(Arc::clone(&service)), stop)
}
