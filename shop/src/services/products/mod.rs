//! products: what is sold, and for how much.
//!
//! Search finds any part of a name, also one Korean syllable. How many pieces there are is
//! inventory's business, which learns of a new product from `product.created`.

mod api;
mod store;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::service::{Service, Serving, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "products",
    owner: "catalogue",
    topic: "product.events",
    port: 3005,
    tables: store::TABLES,
    hears: &[],
};

/// Opens the database and begins to serve.
pub(crate) async fn start(settings: Settings, stop: Stop) -> Result<Serving> {
    let service = Service::open(SPEC, settings).await?;
    service.serve(api::router(Arc::clone(&service)), stop)
}
