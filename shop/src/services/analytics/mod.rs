//! analytics: what happened, in numbers.
//!
//! Listens to every topic of the shop and keeps one fact per event.

mod api;
mod events;
mod store;

use std::sync::Arc;

use anyhow::Result;

use crate::support::service::{Service, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "analytics",
    owner: "insight",
    topic: "analytics.events",
    port: 3008,
    tables: store::TABLES,
};

/// Opens the database and begins to consume and to serve.
pub(crate) async fn start(settings: Settings) -> Result<Arc<Service>> {
    let service = Service::open(SPEC, settings).await?;
    for topic in events::TOPICS {
        service.consume(topic, events::on_any).await?;
    }
    service.serve(api::router(Arc::clone(&service))).await?;
    Ok(service)
}
