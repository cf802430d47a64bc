//! shipping: what was sent where.
//!
//! A participant of the saga `place-order` and of the choreographed flow. It refuses addresses that
//! nobody delivers to (see `domain`).

mod api;
mod domain;
mod events;
mod store;

use std::sync::Arc;

use anyhow::Result;

use crate::support::service::{Service, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "shipping",
    owner: "logistics",
    topic: "shipping.events",
    port: 3007,
    tables: store::TABLES,
};

/// Opens the database and begins to consume and to serve.
pub(crate) async fn start(settings: Settings) -> Result<Arc<Service>> {
    let service = Service::open(SPEC, settings).await?;
    service.consume("payment.events", events::on_payment).await?;
    service.serve(api::router(Arc::clone(&service))).await?;
    Ok(service)
}
