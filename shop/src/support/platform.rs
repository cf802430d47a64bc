//! The platform as a service sees it: topics, registry, other services, a place for spans.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use ieum::base::trace::Tracer;
use ieum::client::Client;
use ieum::discovery::{Registry, Resolver};
use ieum::messaging::{Publisher, Subscriber};
use ieum::sql::sqlite::Database;

use super::service::{Settings, Spec};

/// A service's connections to the platform, all over its HTTP API.
pub(super) struct Platform {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) client: Client,
    pub(super) tracer: Tracer,
    registry: Arc<dyn Registry>,
}
impl Platform {
    pub(super) async fn connect(spec: &Spec, settings: &Settings) -> Result<Self> {
        let registry: Arc<dyn Registry> = Arc::new(ieum::discovery::memory::Registry::default());
        let broker = Arc::new(ieum::messaging::memory::Broker::default());
        let tracer = Tracer::off(spec.name);
        let resolver = Resolver::new(Arc::clone(&registry), settings.tasks.clone());
        Ok(Self {
            publisher: broker.clone(),
            subscriber: broker,
            client: Client::new(
                resolver,
                Default::default(),
                tracer.clone(),
                settings.tasks.clone(),
            ),
            tracer,
            registry,
        })
    }

    pub(super) async fn serve(
        &self,
        _spec: &Spec,
        _settings: &Settings,
        _database: &Database,
        _routes: Router,
    ) -> Result<()> {
        let _ = &self.registry;
        Ok(())
    }
}
