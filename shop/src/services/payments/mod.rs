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
    tables: store::TABLES,
};

/// Opens the database and begins to consume and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.consume(
        "inventory.events",
        Hears {
            kinds: &["inventory.reserved"],
            flow: CHOREOGRAPHED,
            act: events::on_inventory,
        },
    );
    service.consume(
        "shipping.events",
        Hears {
            kinds: &["shipment.failed"],
            flow: CHOREOGRAPHED,
            act: events::on_shipping,
        },
    );
    service.serve(api::router(Arc::clone(&service)), stop)
}
