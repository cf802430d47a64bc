//! notifications: what customers were told.
//!
//! Welcomes new users and says that an order is done. A mail that cannot be sent never undoes an
//! order: the saga sends it after the point of no return.

mod api;
#[cfg(test)]
mod contract;
mod events;
mod store;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::service::{Hears, Service, Serving, Settings, Spec};
use crate::support::work::CHOREOGRAPHED;

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "notifications",
    owner: "customer-care",
    topic: "notification.events",
    port: 3004,
    tables: &[store::TABLES],
    hears: &[
        Hears {
            topic: "user.events",
            kinds: &["user.created"],
            flow: None,
            act: events::on_user,
        },
        Hears {
            topic: "order.events",
            kinds: &["order.completed"],
            flow: CHOREOGRAPHED,
            act: events::on_order,
        },
    ],
};

/// Opens the database and begins to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.listen();
    service.serve(api::router(Arc::clone(&service)), stop)
}
