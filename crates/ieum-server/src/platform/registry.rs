//! The registry that a process works with: its own, on its log, or another process's that it follows.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Rng, TaskKind, Tasks};
use ieum_discovery::health::Checker;
use ieum_discovery::{Recall, Registry, Resolver, catalog, consul, embedded, recall};
use ieum_eventstore::{EventStore, memory};
use ieum_http::{HttpClient, egress};

use super::storage::{self, Storage};
use super::{StartError, statics};
use crate::config::{Config, Home, Role};

/// Opens the registry that this process keeps, and runs its checks if that is its role.
pub(super) async fn own(
    config: &Config,
    storage: &Storage,
    clock: &Clock,
    egress: egress::Policy,
    tasks: &Tasks,
) -> Result<Arc<embedded::Registry>, StartError> {
    let store: Arc<dyn EventStore> = match config.registry.home() {
        Ok(Home::Memory) => Arc::new(memory::Store::with_clock(clock.clone())),
        _ => Arc::clone(&storage.events),
    };
    let limits = catalog::Limits {
        egress,
        ..catalog::Limits::default()
    };
    let opened = embedded::Registry::open(store, clock.clone(), limits);
    let registry = opened
        .await
        .map_err(|error| StartError::new("the registry cannot be read").caused_by(error))?;
    registry.follow(tasks);
    statics::register(&*registry, &config.registry.instances)
        .await
        .map_err(|error| {
            StartError::new("`registry.instances` cannot be registered").caused_by(error)
        })?;
    if config.platform.plays(Role::Registry) {
        let checks = config.registry.checks;
        let checker = Checker::new(
            registry.clone(),
            checks,
            egress,
            Rng::system(),
            tasks.clone(),
        );
        let run = checker.run(tasks.stop().clone());
        tasks.spawn(TaskKind::Essential, "health-checker", run);
    }
    Ok(registry)
}

/// The registry behind `url`. It is asked when it is first needed, so that processes start in any order.
pub(super) fn followed(url: &EngineUrl, tasks: &Tasks) -> Result<Arc<dyn Registry>, StartError> {
    let refused = |error: Box<dyn std::error::Error + Send + Sync>| {
        StartError::new("`registry.url`").caused_by(error)
    };
    if url.scheme() == consul::SCHEME {
        let registry = consul::Registry::connect(url, HttpClient::new(tasks.clone()));
        return Ok(Arc::new(registry.map_err(|error| refused(error.into()))?));
    }
    let platform = ieum_remote::connect(url, tasks).map_err(|error| refused(error.into()))?;
    Ok(platform.registry())
}

/// Finds the endpoints of services in `registry`. For one that is followed, the last known endpoints
/// are kept in the data folder.
pub(super) fn resolver(
    config: &Config,
    registry: Arc<dyn Registry>,
    is_followed: bool,
    tasks: &Tasks,
) -> Result<Resolver, StartError> {
    let (endpoints, tasks, rng) = (config.registry.endpoints, tasks.clone(), Rng::system());
    if !is_followed || config.registry.remember.0 == 0 {
        return Ok(Resolver::with_config(registry, tasks, endpoints, rng));
    }
    let listen = config.gateway.listen;
    let listen = listen.unwrap_or(ieum_gateway::Config::DEFAULT_LISTEN);
    let recall = Recall::open(recall::Config {
        // Gateways that share a folder differ in their ports.
        file: storage::data_dir(config)?.join(format!("endpoints-{}.json", listen.port())),
        registry: config.registry.url.clone().unwrap_or_default(),
        most_bytes: config.registry.remember.0,
    });
    recall.keep(&tasks);
    Ok(Resolver::recalling(registry, tasks, endpoints, rng, recall))
}
