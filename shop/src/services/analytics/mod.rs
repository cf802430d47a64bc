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

use crate::support::service::{Hears, Service, Serving, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "analytics",
    owner: "insight",
    topic: "analytics.events",
    port: 3008,
    tables: store::TABLES,
};

/// Opens the database and begins to consume and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    for topic in events::TOPICS {
        service.consume(
            topic,
            Hears {
                kinds: &[],
                flow: None,
                act: events::on_any,
            },
        );
    }
    service.serve(api::router(Arc::clone(&service)), stop)
}
