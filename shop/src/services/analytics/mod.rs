//! analytics: what happened, in numbers.
//!
//! Listens to every topic of the shop and keeps one fact per event.

mod api;
#[cfg(test)]
mod contract;
mod events;
mod store;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::service::{Service, Serving, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "analytics",
    owner: "insight",
    topic: "analytics.events",
    port: 3008,
    tables: &[store::TABLES],
    hears: &events::HEARS,
};

/// Opens the database and begins to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.listen();
    service.serve(api::router(Arc::clone(&service)), stop)
}
