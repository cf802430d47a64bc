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
use ieum::base::Stop;

use crate::support::service::{Hears, Service, Serving, Settings, Spec};
use crate::support::work::CHOREOGRAPHED;

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "shipping",
    owner: "logistics",
    topic: "shipping.events",
    port: 3007,
    tables: store::TABLES,
};

/// Opens the database and begins to consume and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.consume(
        "payment.events",
        Hears {
            kinds: &["payment.completed"],
            flow: CHOREOGRAPHED,
            act: events::on_payment,
        },
    );
    service.serve(api::router(Arc::clone(&service)), stop)
}
