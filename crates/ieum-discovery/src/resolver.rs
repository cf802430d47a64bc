//! Names to endpoints: the live set of each service, kept by watching the registry.
//!
//! A [`Resolver`] watches each service that somebody asked for and publishes its endpoints to all
//! threads at once; picking one reads that set without a lock. When the registry cannot be reached,
//! the last known endpoints stay in use: an old answer with breakers is better than none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ieum_base::{Backoff, HumanDuration, Rng, TaskKind, Tasks};
use ieum_resilience::circuit_breaker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::service::Service;
use crate::telemetry::{EndpointBreaker, Sample};
use crate::{Instance, Recall, Registry, Result, Snapshot, balance};

/// How services are watched and endpoints are chosen.
///
/// ```toml
/// max-ejected = 0.5
/// wait = "60s"
/// max-services = 1024
/// [breaker]
/// consecutive-failures = 7
/// [balance]
/// failure-penalty = "5s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The share of a service's endpoints that open breakers may take out. With more of them open,
    /// and not all, breakers are ignored: the few that are left would not carry the load. Default
    /// 0.5 (Envoy's panic threshold); range 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ejected: f64,
    /// The longest blocking query. Default `60s`; above 0.
    pub wait: HumanDuration,
    /// The most services that are watched at once. Default 1,024; at least 1.
    #[schemars(range(min = 1))]
    pub max_services: usize,
    /// When an endpoint's breaker opens.
    pub breaker: circuit_breaker::Config,
    /// What the balancers believe about latency.
    pub balance: balance::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_ejected: 0.5,
            wait: HumanDuration::from_secs(60),
            max_services: 1_024,
            breaker: circuit_breaker::Config::default(),
            balance: balance::Config::default(),
        }
    }
}

/// Finds the endpoints of services. Clones share what they know.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    registry: Arc<dyn Registry>,
    tasks: Tasks,
    runtime: tokio::runtime::Handle,
    config: Config,
    rng: Rng,
    recall: Option<Recall>,
    services: Mutex<HashMap<String, Arc<Service>>>,
    /// Those at addresses that are given, as long as somebody holds them.
    fixed: Mutex<Vec<Weak<Service>>>,
}

impl Resolver {
    /// A resolver with the default settings. It must be made on the tokio runtime that is to run
    /// its watches; it may be used on any thread.
    pub fn new(registry: Arc<dyn Registry>, tasks: Tasks) -> Self {
        Self::with_config(registry, tasks, Config::default(), Rng::system())
    }

    /// A resolver with settings and a source for its draws.
    pub fn with_config(
        registry: Arc<dyn Registry>,
        tasks: Tasks,
        config: Config,
        rng: Rng,
    ) -> Self {
        Self::make(registry, tasks, config, rng, None)
    }

    /// The same, with a memory of the last known endpoints: they are used for a service whose first
    /// answer from the registry does not come, and are kept from then on.
    pub fn recalling(
        registry: Arc<dyn Registry>,
        tasks: Tasks,
        config: Config,
        rng: Rng,
        recall: Recall,
    ) -> Self {
        Self::make(registry, tasks, config, rng, Some(recall))
    }

    fn make(
        registry: Arc<dyn Registry>,
        tasks: Tasks,
        config: Config,
        rng: Rng,
        recall: Option<Recall>,
    ) -> Self {
        Self(Arc::new(Inner {
            registry,
            tasks,
            runtime: tokio::runtime::Handle::current(),
            config,
            rng,
            recall,
            services: Mutex::default(),
            fixed: Mutex::default(),
        }))
    }

    /// The live endpoints of the service called `name`. The first call begins to watch it, so its
    /// endpoints appear a moment later ([`Service::ready`] waits for that); later calls are cheap.
    pub fn service(&self, name: &str) -> Arc<Service> {
        let mut services = self.services();
        if let Some(service) = services.get(name) {
            return Arc::clone(service);
        }
        let service = Arc::new(Service::new(name, self.0.config, self.0.rng.clone()));
        if services.len() >= self.0.config.max_services {
            forget_unused(&mut services);
        }
        services.insert(name.to_owned(), Arc::clone(&service));
        drop(services);
        self.watch(&service);
        service
    }

    /// A service whose endpoints are given and never change, for a fixed URL. It is not registered
    /// and not shared by name.
    pub fn fixed(&self, name: &str, instances: Vec<Instance>) -> Arc<Service> {
        let service = Service::new(name, self.0.config, self.0.rng.clone());
        service.publish(1, instances.len(), instances);
        let service = Arc::new(service);
        let mut fixed = self.fixed_services();
        fixed.retain(|known| known.strong_count() > 0);
        fixed.push(Arc::downgrade(&service));
        drop(fixed);
        service
    }

    /// The registry behind it.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.0.registry
    }

    /// What there is to measure, by service.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = self.services().values().map(|s| s.sample()).collect();
        samples.sort_by(|a, b| a.service.cmp(&b.service));
        samples
    }

    /// The circuit breaker of each endpoint, by service and instance; fixed addresses among them.
    pub fn breakers(&self) -> Vec<EndpointBreaker> {
        let mut services: Vec<_> = self.services().values().cloned().collect();
        services.extend(self.fixed_services().iter().filter_map(Weak::upgrade));
        services.sort_by(|a, b| a.name().cmp(b.name()));
        let endpoints = services.iter().flat_map(|service| {
            let endpoints = service.endpoints().into_iter();
            endpoints.map(|endpoint| EndpointBreaker::of(service, &endpoint))
        });
        endpoints.collect()
    }

    fn fixed_services(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Service>>> {
        self.0.fixed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, service: &Arc<Service>) {
        let watch = Watch {
            registry: Arc::clone(&self.0.registry),
            service: Arc::downgrade(service),
            name: service.name().to_owned(),
            config: self.0.config,
            rng: self.0.rng.clone(),
            recall: self.0.recall.clone(),
        };
        let stop = self.0.tasks.stop().clone();
        let _runtime = self.0.runtime.enter();
        self.0
            .tasks
            .spawn(TaskKind::Background, "service-watch", async move {
                stop.unless_requested(watch.run()).await;
            });
    }

    fn services(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Service>>> {
        self.0
            .services
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("services", &*self.services())
            .finish_non_exhaustive()
    }
}

/// Drops the services that nobody holds; their watches end with them.
fn forget_unused(services: &mut HashMap<String, Arc<Service>>) {
    services.retain(|_, service| Arc::strong_count(service) > 1);
}

/// The watch of one service. It ends when the service is dropped.
struct Watch {
    registry: Arc<dyn Registry>,
    service: Weak<Service>,
    name: String,
    config: Config,
    rng: Rng,
    recall: Option<Recall>,
}

impl Watch {
    async fn run(self) {
        let mut index = 0;
        let mut failures = 0;
        let mut has_answered = false;
        while self.service.strong_count() > 0 {
            let asked = Instant::now();
            let answer = if has_answered {
                self.ask(index).await
            } else {
                self.ask_at_first().await
            };
            let Some(service) = self.service.upgrade() else {
                return;
            };
            let pause = match answer {
                Ok(snapshot) => {
                    failures = 0;
                    has_answered = true;
                    let changed = snapshot.index != index;
                    index = snapshot.index;
                    service.update(&snapshot);
                    self.note(&snapshot);
                    // A registry that answers at once with nothing new must not be asked in a loop.
                    (!changed && asked.elapsed() < EARLY).then_some(EARLY)
                }
                Err(error) => {
                    failures += 1;
                    // The registry may come back with other indexes.
                    index = 0;
                    service.mark_stale(&error);
                    Some(RECONNECT.delay(failures, &self.rng).max(EARLY))
                }
            };
            drop(service);
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

impl Watch {
    async fn ask(&self, index: u64) -> Result<Snapshot> {
        let wait = self.config.wait.0;
        self.registry.watch(&self.name, index, wait).await
    }

    /// Asks; if there is no answer in a moment, what was known before this process began is used.
    async fn ask_at_first(&self) -> Result<Snapshot> {
        let mut asking = std::pin::pin!(self.ask(0));
        let answer = match tokio::time::timeout(FIRST_ANSWER, asking.as_mut()).await {
            Ok(Ok(snapshot)) => return Ok(snapshot),
            Ok(error) => Some(error),
            Err(_) => None,
        };
        if let (Some(recall), Some(service)) = (&self.recall, self.service.upgrade()) {
            service.recall(recall.known(&self.name));
        }
        match answer {
            Some(error) => error,
            None => asking.await,
        }
    }

    fn note(&self, snapshot: &Snapshot) {
        if let Some(recall) = &self.recall {
            recall.note(&self.name, snapshot.available().cloned().collect());
        }
    }
}

/// How long the registry may take for its first answer before a memory is asked. Below the second
/// that the gateway's first request waits for.
const FIRST_ANSWER: std::time::Duration = std::time::Duration::from_millis(250);

/// The least time between two queries of which the first brought nothing new.
const EARLY: std::time::Duration = std::time::Duration::from_millis(50);

/// How long to leave a registry alone that does not answer.
const RECONNECT: Backoff = Backoff::new(
    std::time::Duration::from_millis(100),
    std::time::Duration::from_secs(5),
);
