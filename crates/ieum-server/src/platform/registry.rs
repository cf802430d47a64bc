//! The registry that a process works with: its own, on its log, or another process's that it follows.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Rng, Secret, TaskKind, Tasks};
use ieum_discovery::health::Checker;
use ieum_discovery::{Recall, Registry, Resolver, catalog, consul, embedded, kv, recall};
use ieum_eventstore::{EventStore, memory, ownership};
use ieum_http::{HttpClient, egress};

use super::storage::{self, Storage};
use super::{StartError, several, statics};
use crate::config::{Config, Home, Role};

/// A registry of this process, and the keys and sessions beside it.
pub(super) struct Own {
    pub(super) registry: Arc<embedded::Registry>,
    pub(super) kv: kv::Store,
    /// The platforms on the same log, if there may be others.
    pub(super) members: Option<ownership::Handle>,
}

/// What a registry is opened with.
pub(super) struct Means<'a> {
    pub(super) config: &'a Config,
    pub(super) storage: &'a Storage,
    pub(super) clock: &'a Clock,
    pub(super) egress: egress::Policy,
    /// What the other platforms on the log ask for, as this one does.
    pub(super) token: Option<Secret>,
    pub(super) tasks: &'a Tasks,
}

/// Opens the registry that this process keeps, and runs its checks if that is its role: always, or when
/// it is its turn among the platforms on the log.
pub(super) async fn own(means: Means<'_>) -> Result<Own, StartError> {
    let Means {
        config,
        storage,
        clock,
        egress,
        tasks,
        ..
    } = means;
    let in_memory = matches!(config.registry.home(), Ok(Home::Memory));
    let store: Arc<dyn EventStore> = match in_memory {
        true => Arc::new(memory::Store::with_clock(clock.clone())),
        false => Arc::clone(&storage.events),
    };
    let is_shared = storage.is_shared && !in_memory;
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
    let kv = crate::consul::store(&registry, &config.registry, is_shared, tasks);
    let members = match (config.platform.plays(Role::Registry), is_shared) {
        (false, _) => None,
        (true, false) => {
            check_alone(&means, registry.clone());
            None
        }
        (true, true) => {
            let bench = several::Bench {
                registry: registry.clone(),
                sessions: kv.clone(),
                egress,
                token: means.token,
            };
            Some(several::join(config, storage, bench, clock, tasks)?)
        }
    };
    Ok(Own {
        registry,
        kv,
        members,
    })
}

/// Runs the checks of a registry that nobody else works on.
fn check_alone(means: &Means<'_>, registry: Arc<embedded::Registry>) {
    let (checks, tasks) = (means.config.registry.checks, means.tasks);
    let checker = Checker::new(registry, checks, means.egress, Rng::system(), tasks.clone());
    let run = checker.run(tasks.stop().clone());
    tasks.spawn(TaskKind::Essential, "health-checker", run);
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
