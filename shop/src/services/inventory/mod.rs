//! inventory: what is in stock, and what is set aside for orders.
//!
//! A participant of the saga `place-order` (set aside, put back), and of the choreographed flow. It
//! learns of products from `product.created`.

mod api;
mod domain;
mod events;
mod grpc;
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
    name: "inventory",
    owner: "warehouse",
    topic: "inventory.events",
    port: 3006,
    tables: &[store::TABLES],
    hears: &[
        Hears {
            topic: "product.events",
            kinds: &["product.created"],
            flow: None,
            act: events::on_product,
        },
        Hears {
            topic: "order.events",
            kinds: &["order.created"],
            flow: CHOREOGRAPHED,
            act: events::on_order,
        },
        Hears {
            topic: "payment.events",
            kinds: &["payment.failed", "payment.refunded"],
            flow: CHOREOGRAPHED,
            act: events::on_payment,
        },
    ],
};

/// Opens the database and begins to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.listen();
    grpc::serve(&service)?;
    service.serve(api::router(Arc::clone(&service)), stop)
}
