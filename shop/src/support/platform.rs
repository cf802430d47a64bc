//! The platform as a service sees it: topics, registry, other services, a place for spans.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use ieum::base::{EngineUrl, Secret, redact};
use ieum::chassis::Chassis;
use ieum::client::{Client, Config};
use ieum::discovery::{Registry, Resolver};
use ieum::messaging::{Broker, Publisher, Subscriber};
use ieum::remote;

use super::broker;

/// A service's connections to the platform, all over its HTTP API.
pub(super) struct Platform {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) client: Client,
}

impl Platform {
    /// The platform at `url`, like `http://127.0.0.1:8500` or `ieum://127.0.0.1:8500`; several on one
    /// log are joined by commas. It is connected to when it is first used, with `token` if there is
    /// one. A `broker` carries the topics in its place, and is waited for.
    pub(super) async fn connect(
        url: &str,
        token: Option<Secret>,
        broker: Option<&EngineUrl>,
        chassis: &Chassis,
    ) -> Result<Self> {
        let shown = redact::text(url);
        let mut engine = remote::locate(url)?;
        if let Some(token) = token {
            engine = engine.with_password(token);
        }
        let tasks = chassis.tasks();
        let platform = remote::connect(&engine, tasks).with_context(|| format!("`{shown}`"))?;
        let registry = platform.registry();
        let resolver = Resolver::new(Arc::clone(&registry), tasks.clone());
        chassis.watch_endpoints(&resolver);
        let tracer = chassis.tracer().clone();
        let (publisher, subscriber) = match broker {
            Some(url) => topics(broker::connect_patiently(url, tasks).await?),
            None => (platform.publisher(), platform.subscriber()),
        };
        Ok(Self {
            publisher,
            subscriber,
            client: Client::new(resolver, Config::default(), tracer, tasks.clone()),
            registry,
        })
    }

    /// A health check: whether the platform answers, and knows of an instance of `service`.
    pub(super) fn check(
        &self,
        service: &'static str,
    ) -> impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static {
        let registry = Arc::clone(&self.registry);
        move || {
            let registry = Arc::clone(&registry);
            Box::pin(async move {
                match registry.watch(service, 0, Duration::ZERO).await {
                    Ok(known) if known.instances.is_empty() => Err("not registered yet".to_owned()),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            })
        }
    }
}

fn topics(broker: Broker) -> (Arc<dyn Publisher>, Arc<dyn Subscriber>) {
    (broker.publisher, broker.subscriber)
}
