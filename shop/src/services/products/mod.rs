//! products: what is sold, and for how much.
//!
//! Search finds any part of a name, also one Korean syllable. How many pieces there are is
//! inventory's business, which learns of a new product from `product.created`.

mod api;
mod catalogue;
mod store;

use std::sync::Arc;

use anyhow::Result;
use ieum::base::{EngineUrl, Stop};
use ieum::sql::sqlite;

use self::catalogue::Catalogue;
use crate::support::service::{Service, Serving, Settings, Spec};

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "products",
    owner: "catalogue",
    topic: "product.events",
    port: 3005,
    tables: &[store::TABLES],
    hears: &[],
};

/// Opens the database and begins to serve. Products are read through the cache at the URL `cache`, or
/// in memory.
pub(crate) async fn start(
    settings: Settings,
    cache: Option<EngineUrl>,
    stop: Stop,
) -> Result<Serving> {
    let others_write = settings.database.scheme() != sqlite::SCHEME;
    let service = Service::open(SPEC, settings).await?;
    let catalogue = Catalogue::open(Arc::clone(&service), cache.as_ref(), others_write).await?;
    service.serve(api::router(Arc::new(catalogue)), stop)
}
