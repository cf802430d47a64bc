//! Starting and stopping: every part, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use ieum_base::{Abandoned, Clock, Rng, Stop, TaskKind, Tasks};
use ieum_discovery::health::Checker;
use ieum_discovery::{Resolver, catalog, embedded};
use ieum_http::{egress, server};
use tokio::sync::oneshot;

use super::storage::{self, Storage};
use super::{Ended, Moved, Running, StartError, listen, sagas, statics};
use crate::{api, consul};
use crate::config::{Config, Role};
use crate::telemetry::{self, Measured};
use crate::traces::{Limits, Store};

/// The platform: registry, gateway, log, sagas and API in one process.
#[derive(Debug)]
pub struct Platform;

/// Everything that runs, in the order in which it is stopped.
struct Parts {
    /// Sagas, checks, watches.
    work: Tasks,
    /// The API.
    api: Tasks,
    storage: Storage,
    drain: Duration,
}

/// What is told to who started it.
struct Started {
    gateway_addr: Option<SocketAddr>,
    api_addr: SocketAddr,
    log: String,
    moved: Vec<Moved>,
}

impl Platform {
    /// Starts everything that `config` asks for, and answers once it serves. `stop` ends it.
    ///
    /// # Errors
    /// With one clear sentence and what to do; nothing is left running or damaged.
    pub async fn start(config: Config, stop: Stop) -> Result<Running, StartError> {
        let (ready, started) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let thread_stop = stop.clone();
        let thread = std::thread::Builder::new().name("ieum-platform".into());
        thread
            .spawn(move || host(config, &thread_stop, ready, done))
            .map_err(|error| StartError::new("no thread can be started").caused_by(error))?;
        let started = started
            .await
            .unwrap_or_else(|_| Err(StartError::new("the platform panicked at its start")))?;
        Ok(Running {
            gateway_addr: started.gateway_addr,
            api_addr: started.api_addr,
            log: started.log,
            moved: started.moved,
            stop,
            ended,
        })
    }
}

/// The platform's own thread: it owns the runtime, so that a platform can be started and dropped
/// inside any other runtime.
fn host(
    config: Config,
    stop: &Stop,
    ready: oneshot::Sender<Result<Started, StartError>>,
    done: oneshot::Sender<Ended>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.platform.worker_threads)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("ieum-worker")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = StartError::new("no runtime can be started").caused_by(error);
            // Nobody waits any more: then nobody needs the answer.
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match Parts::open(config).await {
            Err(error) => drop(ready.send(Err(error))),
            Ok((parts, started)) => {
                let asked = ready.send(Ok(started)).is_ok();
                let failure = if asked { parts.until(stop).await } else { None };
                let abandoned = parts.shut_down().await;
                let _ = done.send(Ended { abandoned, failure });
            }
        }
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
}

impl Parts {
    async fn open(config: Config) -> Result<(Self, Started), StartError> {
        let clock = Clock::system();
        let token = config.token().map_err(|missing| {
            StartError::new(missing.to_string()).help(missing.help)
        })?;
        let bound = listen::api(&config)?;
        let storage = storage::open(&config, clock.clone())?;
        let (work, api_tasks) = (Tasks::new(Stop::new()), Tasks::new(Stop::new()));

        let registry = open_registry(&config, &storage, &clock).await?;
        registry.follow(&work);
        if config.platform.plays(Role::Registry) {
            let egress = egress::Policy {
                loopback: bound.address.ip().is_loopback(),
                ..egress::Policy::default()
            };
            let checks = config.registry.checks;
            let checker =
                Checker::new(registry.clone(), checks, egress, Rng::system(), work.clone());
            let stop = work.stop().clone();
            work.spawn(TaskKind::Essential, "health-checker", checker.run(stop));
        }
        let endpoints = config.registry.endpoints;
        let resolver =
            Resolver::with_config(registry.clone(), work.clone(), endpoints, Rng::system());
        let traces = Store::new(limits(&config));
        let mut more = Vec::new();
        if config.platform.plays(Role::Sagas) {
            let opened = sagas::open(&config, &storage, &resolver, &traces, &clock, &work);
            more.push(api::sagas::routes(opened.await?));
        }

        let parts = api::Parts {
            guard: api::Guard::new(token, &config.platform.allowed_hosts),
            max_body: usize::try_from(config.platform.max_body.0).unwrap_or(usize::MAX),
            log: api::Log {
                store: Arc::new(storage.log.clone()),
                checkpoints: Arc::new(storage.log.clone()),
                fences: Arc::new(storage.log.clone()),
                stop: api_tasks.stop().clone(),
            },
            topics: api::Topics {
                publisher: Arc::new(storage.topics.clone()),
                groups: Arc::new(storage.topics.clone()),
                limits: ieum_messaging::Limits::default(),
                inspect: Arc::new(storage.topics.clone()),
                stop: api_tasks.stop().clone(),
            },
            traces: traces.clone(),
            catalogue: api::Catalogue {
                registry: registry.clone(),
                routes: Arc::new(Vec::new),
            },
            vitals: vitals(&storage, &traces, &resolver),
            more,
            consul: consul::router(registry.clone(), consul::NodeInfo::default()),
        };
        serve(bound.listener, api::router(parts), &config, &api_tasks);

        let started = Started {
            gateway_addr: None,
            api_addr: bound.address,
            log: storage.place.clone(),
            moved: bound.moved.into_iter().collect(),
        };
        let parts = Self {
            work,
            api: api_tasks,
            storage,
            drain: config.platform.drain.0,
        };
        Ok((parts, started))
    }

    /// Waits for the stop, or for a part that failed; says what failed.
    async fn until(&self, stop: &Stop) -> Option<String> {
        let stages = [("work", &self.work), ("API", &self.api)];
        let failed = select_all(stages.map(|(name, tasks)| {
            let stop = tasks.stop().clone();
            async move {
                stop.requested().await;
                name
            }
            .boxed()
        }));
        tokio::select! {
            () = stop.requested() => None,
            (name, ..) = failed => Some(format!("an essential part of the platform's {name} failed")),
        }
    }

    /// Stops everything: first what takes work in, then what does it, then what answers, at last
    /// what keeps it.
    async fn shut_down(self) -> Vec<Abandoned> {
        let mut abandoned = self.work.shut_down(self.drain).await;
        abandoned.extend(self.api.shut_down(self.drain).await);
        if let Err(error) = self.storage.log.database().close().await {
            tracing::error!(%error, "the log was not closed cleanly");
        }
        abandoned
    }
}

async fn open_registry(
    config: &Config,
    storage: &Storage,
    clock: &Clock,
) -> Result<Arc<embedded::Registry>, StartError> {
    let store = Arc::new(storage.log.clone());
    let opened = embedded::Registry::open(store, clock.clone(), catalog::Limits::default());
    let registry = opened
        .await
        .map_err(|error| StartError::new("the registry cannot be read").caused_by(error))?;
    statics::register(&*registry, &config.registry.instances)
        .await
        .map_err(|error| {
            StartError::new("`registry.instances` cannot be registered").caused_by(error)
        })?;
    Ok(registry)
}

fn serve(listener: tokio::net::TcpListener, router: Router, config: &Config, tasks: &Tasks) {
    let settings = server::Config {
        drain: config.platform.drain.0,
        ..server::Config::default()
    };
    let (stop, tree) = (tasks.stop().clone(), tasks.clone());
    tasks.spawn(TaskKind::Essential, "platform-api", async move {
        server::serve(listener, router, settings, stop, &tree).await;
    });
}

fn limits(config: &Config) -> Limits {
    let traces = &config.telemetry.traces;
    Limits {
        traces: traces.max_traces,
        bytes: usize::try_from(traces.max_bytes.0).unwrap_or(usize::MAX),
        spans: traces.max_spans,
    }
}

fn vitals(storage: &Storage, traces: &Store, resolver: &Resolver) -> api::Vitals {
    let database = storage.log.database().clone();
    let log: api::Check = Arc::new(move || {
        let database = database.clone();
        async move { database.probe().await.map_err(|error| error.to_string()) }.boxed()
    });
    let (log_store, traces, resolver) = (storage.log.clone(), traces.clone(), resolver.clone());
    let metrics = move || -> BoxFuture<'static, String> {
        let (log, traces, resolver) = (log_store.clone(), traces.clone(), resolver.clone());
        async move {
            let head = ieum_eventstore::EventStore::head(&log).await.ok();
            let measured = Measured {
                position: head.map(|head| head.position.0),
                traces: traces.held(),
            };
            let endpoints = ieum_discovery::telemetry::render(&resolver.samples());
            telemetry::render(measured, &[endpoints])
        }
        .boxed()
    };
    api::Vitals {
        checks: Arc::new(BTreeMap::from([("log", log)])),
        metrics: Arc::new(metrics),
    }
}

/// Threads for work that blocks, such as reads of the log.
const BLOCKING_THREADS: usize = 16;
/// How long the runtime waits for threads that block, at the very end.
const RUNTIME_STOP: Duration = Duration::from_secs(1);
