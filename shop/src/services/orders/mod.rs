//! orders: who ordered what, and how it ended.
//!
//! An order is an event-sourced aggregate in the service's own database. Placing one writes its
//! events, its messages and the record of the request's key in one transaction; `order.placed` starts
//! the saga, `order.created` the choreographed flow. Lists are answered from a read model that a
//! projection keeps; one order is answered from its events, so that who placed it sees it at once. What
//! the others did for an order is noted as they tell it, for whoever watches the order.

mod api;
#[cfg(test)]
mod contract;
mod domain;
mod events;
mod graph;
mod internal;
mod progress;
mod read_model;
mod steps;
mod stock;
mod store;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::service::{Hears, Service, Serving, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "orders",
    owner: "sales",
    topic: "order.events",
    port: 3002,
    tables: &[read_model::TABLES, steps::TABLE],
    hears: &[
        Hears {
            topic: "inventory.events",
            kinds: &[
                "inventory.reserved",
                "inventory.rejected",
                "inventory.released",
            ],
            flow: None,
            act: events::on_inventory,
        },
        Hears {
            topic: "payment.events",
            kinds: &["payment.completed", "payment.failed", "payment.refunded"],
            flow: None,
            act: events::on_payment,
        },
        Hears {
            topic: "shipping.events",
            kinds: &["shipment.created", "shipment.failed", "shipment.cancelled"],
            flow: None,
            act: events::on_shipping,
        },
    ],
};

/// Opens the database and begins to project, to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    read_model::project(&service);
    service.listen();
    let routes = api::router(Arc::clone(&service))
        .merge(progress::router(Arc::clone(&service)))
        .merge(internal::router(Arc::clone(&service)))
        .merge(graph::router(Arc::clone(&service)));
    service.serve(routes, stop)
}
