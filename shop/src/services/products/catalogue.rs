//! Products by their ids, read through a cache.
//!
//! The table is always right; the cache holds what was read from it, and whoever changes a product
//! forgets it there between the change and its answer, so that nobody who was told of a change reads
//! what was before it.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use ieum::base::EngineUrl;
use ieum::resilience::cache::Aside;

use super::store::{self, Product};
use crate::support::cache;
use crate::support::failure::Reply;
use crate::support::service::Service;

/// The products of a service.
pub(super) struct Catalogue {
    service: Arc<Service>,
    /// `None` if nothing may be kept.
    cache: Option<Aside>,
}

impl Catalogue {
    /// Reads through the cache at `url`, or in memory. A memory of its own is no use to a copy of the
    /// service beside whom others write: nobody would tell it what to forget.
    pub(super) async fn open(
        service: Arc<Service>,
        url: Option<&EngineUrl>,
        others_write: bool,
    ) -> Result<Self> {
        let cache = match (url, others_write) {
            (None, true) => None,
            _ => Some(cache::open(url, "products", service.tasks()).await?),
        };
        Ok(Self { service, cache })
    }

    /// The service that they belong to.
    pub(super) const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The product with this id.
    pub(super) async fn find(&self, id: &str) -> Reply<Option<Product>> {
        let Some(cache) = &self.cache else {
            return self.load(id).await;
        };
        let load = async {
            let found = self.load(id).await?;
            let written = found
                .map(|product| serde_json::to_vec(&product))
                .transpose()?;
            Reply::Ok(written.map(Bytes::from))
        };
        let Some(found) = cache.read(id, load).await? else {
            return Ok(None);
        };
        match serde_json::from_slice(&found) {
            Ok(product) => Ok(Some(product)),
            // What another version wrote.
            Err(_) => self.load(id).await,
        }
    }

    /// Forgets a product that was changed, or may have been.
    pub(super) async fn changed(&self, id: &str) {
        if let Some(cache) = &self.cache {
            cache.forget(id).await;
        }
    }

    async fn load(&self, id: &str) -> Reply<Option<Product>> {
        let id = id.to_owned();
        self.service.read(move |db| store::find(db, &id)).await
    }
}
