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
    tables: &[store::TABLES],
    hears: &[Hears {
        topic: "payment.events",
        kinds: &["payment.completed"],
        flow: CHOREOGRAPHED,
        act: events::on_payment,
    }],
};

/// Opens the database and begins to listen and to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.listen();
    service.serve(api::router(Arc::clone(&service)), stop)
}
