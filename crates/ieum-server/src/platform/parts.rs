//! The parts of a platform: opened in order, watched over, stopped in the reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ieum_base::{Abandoned, Clock, Rng, Secret, Stop, TaskKind, Tasks};
use ieum_discovery::health::Checker;
use ieum_discovery::{Resolver, catalog, embedded};
use ieum_eventstore::{EventStore, memory};
use ieum_http::{egress, server};
use tokio::net::TcpListener;

use super::listen::{self, Bound};
use super::storage::{self, Storage};
use super::vitals::{self, routes_of};
use super::{Moved, StartError, gateway, sagas, statics};
use crate::config::{Config, Role};
use crate::traces::{Limits, Store};
use crate::{api, consul};

/// Everything that runs, in the order in which it is stopped.
pub(super) struct Parts {
    /// What takes requests in from outside; `None` without the role.
    gateway: Option<ieum_gateway::Handle>,
    /// Sagas, checks, watches.
    work: Tasks,
    /// The API.
    api: Tasks,
    storage: Storage,
    drain: Duration,
}

/// What is told to who started it.
pub(super) struct Started {
    pub(super) gateway_addr: Option<SocketAddr>,
    pub(super) api_addr: SocketAddr,
    pub(super) log: String,
    pub(super) moved: Vec<Moved>,
}

impl Parts {
    /// Opens everything, or nothing: what was opened before an error is closed again.
    pub(super) async fn open(config: Config) -> Result<(Self, Started), StartError> {
        let clock = Clock::system();
        let token = config
            .token()
            .map_err(|missing| StartError::new(missing.to_string()).help(missing.help))?;
        let bound = listen::api(&config)?;
        let storage = storage::open(&config, clock.clone())?;
        let mut parts = Self {
            gateway: None,
            work: Tasks::new(Stop::new()),
            api: Tasks::new(Stop::new()),
            storage,
            drain: config.platform.drain.0,
        };
        match parts.start(&config, token, bound, &clock).await {
            Ok(started) => Ok((parts, started)),
            Err(error) => {
                parts.shut_down().await;
                Err(error)
            }
        }
    }

    /// The gateway binds its port before the sagas go on: a platform that cannot serve does no work.
    async fn start(
        &mut self,
        config: &Config,
        token: Option<Secret>,
        bound: Bound,
        clock: &Clock,
    ) -> Result<Started, StartError> {
        // Who may register an address may make us call it: this machine's own services are out of
        // bounds once others can reach the API.
        let egress = egress::Policy {
            loopback: bound.address.ip().is_loopback(),
            ..egress::Policy::default()
        };
        let registry = self.open_registry(config, clock, egress).await?;
        let endpoints = config.registry.endpoints;
        let resolver = Resolver::with_config(
            registry.clone(),
            self.work.clone(),
            endpoints,
            Rng::system(),
        );
        let traces = Store::new(limits(config));

        let mut moved: Vec<_> = bound.moved.into_iter().collect();
        if config.platform.plays(Role::Gateway) {
            let (handle, away) = gateway::start(config, &resolver, &traces, clock, egress)?;
            moved.extend(away);
            self.gateway = Some(handle);
        }
        let mut more = Vec::new();
        if config.platform.plays(Role::Sagas) {
            let storage = &self.storage;
            let opened = sagas::open(config, storage, &resolver, &traces, clock, &self.work);
            more.push(api::sagas::routes(opened.await?));
        }
        let api = api::Parts {
            guard: api::Guard::new(token, &config.platform.allowed_hosts),
            max_body: usize::try_from(config.platform.max_body.0).unwrap_or(usize::MAX),
            log: self.log_api(),
            topics: self.topics_api(),
            vitals: vitals::of(&self.storage, &traces, &resolver, self.gateway.clone()),
            traces,
            catalogue: api::Catalogue {
                registry: registry.clone(),
                routes: routes_of(self.gateway.clone()),
            },
            more,
            consul: consul::router(registry, &config.registry, &self.work),
        };
        self.serve(bound.listener, api::router(api));
        Ok(Started {
            gateway_addr: self.gateway.as_ref().map(ieum_gateway::Handle::addr),
            api_addr: bound.address,
            log: self.storage.place.clone(),
            moved,
        })
    }

    async fn open_registry(
        &self,
        config: &Config,
        clock: &Clock,
        egress: egress::Policy,
    ) -> Result<Arc<embedded::Registry>, StartError> {
        // Any URL that the rules let through is that of a store in memory.
        let store: Arc<dyn EventStore> = match config.registry.url {
            Some(_) => Arc::new(memory::Store::with_clock(clock.clone())),
            None => Arc::new(self.storage.log.clone()),
        };
        let limits = catalog::Limits {
            egress,
            ..catalog::Limits::default()
        };
        let opened = embedded::Registry::open(store, clock.clone(), limits);
        let registry = opened
            .await
            .map_err(|error| StartError::new("the registry cannot be read").caused_by(error))?;
        registry.follow(&self.work);
        statics::register(&*registry, &config.registry.instances)
            .await
            .map_err(|error| {
                StartError::new("`registry.instances` cannot be registered").caused_by(error)
            })?;
        if config.platform.plays(Role::Registry) {
            let checks = config.registry.checks;
            let (rng, tasks) = (Rng::system(), self.work.clone());
            let checker = Checker::new(registry.clone(), checks, egress, rng, tasks);
            let stop = self.work.stop().clone();
            let run = checker.run(stop);
            self.work.spawn(TaskKind::Essential, "health-checker", run);
        }
        Ok(registry)
    }

    fn log_api(&self) -> api::Log {
        let log = &self.storage.log;
        api::Log {
            store: Arc::new(log.clone()),
            checkpoints: Arc::new(log.clone()),
            fences: Arc::new(log.clone()),
            stop: self.api.stop().clone(),
        }
    }

    fn topics_api(&self) -> api::Topics {
        let topics = &self.storage.topics;
        api::Topics {
            publisher: Arc::new(topics.clone()),
            groups: Arc::new(topics.clone()),
            limits: ieum_messaging::Limits::default(),
            inspect: Arc::new(topics.clone()),
            stop: self.api.stop().clone(),
        }
    }

    fn serve(&self, listener: TcpListener, router: Router) {
        let settings = server::Config {
            drain: self.drain,
            ..server::Config::default()
        };
        let (stop, tree) = (self.api.stop().clone(), self.api.clone());
        self.api
            .spawn(TaskKind::Essential, "platform-api", async move {
                server::serve(listener, router, settings, stop, &tree).await;
            });
    }

    /// Waits for the stop, or for a part that failed; says what failed.
    pub(super) async fn until(&self, stop: &Stop) -> Option<String> {
        let gateway_failed = async {
            match &self.gateway {
                Some(gateway) => gateway.failed().await,
                None => std::future::pending().await,
            }
        };
        let failed = tokio::select! {
            () = stop.requested() => return None,
            () = gateway_failed => "the gateway",
            () = self.work.stop().requested() => "the sagas or the health checks",
            () = self.api.stop().requested() => "the platform API",
        };
        Some(format!("{failed} ended unexpectedly"))
    }

    /// Stops everything: first what takes work in, then what does it, then what answers, at last
    /// what keeps it.
    pub(super) async fn shut_down(self) -> Vec<Abandoned> {
        let mut abandoned = Vec::new();
        if let Some(gateway) = &self.gateway {
            let count = gateway.stop().await.abandoned;
            let name = "gateway request";
            abandoned.extend((count > 0).then_some(Abandoned { name, count }));
        }
        abandoned.extend(self.work.shut_down(self.drain).await);
        abandoned.extend(self.api.shut_down(self.drain).await);
        if let Err(error) = self.storage.log.database().close().await {
            tracing::error!(%error, "the log was not closed cleanly");
        }
        abandoned
    }
}

fn limits(config: &Config) -> Limits {
    let traces = &config.telemetry.traces;
    Limits {
        traces: traces.max_traces,
        bytes: usize::try_from(traces.max_bytes.0).unwrap_or(usize::MAX),
        spans: traces.max_spans,
    }
}
