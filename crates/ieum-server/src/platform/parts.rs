//! The parts of a platform: opened in order, watched over, stopped in the reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ieum_base::trace::SpanSink;
use ieum_base::{Abandoned, Clock, EngineUrl, Secret, Stop, TaskKind, Tasks};
use ieum_discovery::Registry;
use ieum_discovery::peers::Heard;
use ieum_eventstore::ownership;
use ieum_http::{egress, server};
use ieum_telemetry::logs::Forwarding;
use tokio::net::TcpListener;

use super::elsewhere;
use super::exports::Exports;
use super::listen::{self, Bound};
use super::storage::{self, Storage};
use super::topics::{self, OnBroker};
use super::vitals::{self, Seen, routes_of};
use super::{Moved, StartError, gateway, impact, live, registry, sagas, several, shared};
use crate::config::{Config, Role};
use crate::traces::Store;
use crate::{api, consul};

/// Everything that runs, in the order in which it is stopped.
pub(super) struct Parts {
    /// What takes requests in from outside; `None` without the role.
    gateway: Option<ieum_gateway::Handle>,
    /// Sagas, checks, watches.
    work: Tasks,
    /// What is told to others.
    exports: Exports,
    /// The API.
    api: Tasks,
    /// The log; `None` in a process that follows the registry of another.
    storage: Option<Storage>,
    /// The broker that carries the topics, if the log does not.
    broker: Option<OnBroker>,
    /// Its connections, where it has some.
    tasks: Tasks,
    /// What is logged here within traces is kept with them.
    own_lines: Option<Forwarding>,
    drain: Duration,
    /// Requested when nothing new is to be sent here.
    retired: Stop,
}

/// What is told to who started it.
pub(super) struct Started {
    pub(super) gateway: Option<ieum_gateway::Handle>,
    pub(super) api_addr: SocketAddr,
    pub(super) log: String,
    pub(super) topics: Option<String>,
    pub(super) caveats: Vec<String>,
    pub(super) moved: Vec<Moved>,
    pub(super) retired: Stop,
}

/// A registry that was opened.
struct Opened {
    registry: Arc<dyn Registry>,
    /// Consul's API, if the registry is here.
    consul: Option<Router>,
    /// The platforms on the same log, if there may be others.
    members: Option<ownership::Handle>,
    heard: Arc<dyn Fn() -> Heard + Send + Sync>,
}

/// What others on the log are told.
struct Told {
    members: Option<ownership::Handle>,
    sagas: Option<ieum_saga::Handle>,
    mirror: Option<topics::mirror::Status>,
    heard: Arc<dyn Fn() -> Heard + Send + Sync>,
}

/// What the parts are made with.
struct Plan<'a> {
    config: &'a Config,
    token: Option<Secret>,
    /// The registry that is followed, with its token.
    followed: Option<EngineUrl>,
    egress: egress::Policy,
    clock: Clock,
}

impl Parts {
    /// Opens everything, or nothing: what was opened before an error is closed again.
    pub(super) async fn open(config: &Config, stop: &Stop) -> Result<(Self, Started), StartError> {
        let token = config.token()?;
        let followed = config.followed()?;
        let bound = listen::api(config)?;
        // Its name among those on the log is where it listens in the end: two that took the next free
        // port must not have one name.
        let mut config = config.clone();
        config.platform.listen = Some(bound.address);
        let config = &config;
        let clock = Clock::system();
        let tasks = Tasks::new(Stop::new());
        let storage = match &followed {
            None => Some(storage::open(config, clock.clone(), stop).await?),
            Some(_) => None,
        };
        let broker = match &storage {
            Some(_) => topics::connect(config, &clock, &tasks, stop).await?,
            None => None,
        };
        let mut parts = Self {
            gateway: None,
            work: Tasks::new(Stop::new()),
            exports: Exports::start(config, followed.as_ref()),
            api: Tasks::new(Stop::new()),
            storage,
            broker,
            tasks,
            own_lines: None,
            drain: config.platform.drain.0,
            retired: Stop::new(),
        };
        let plan = Plan {
            config,
            token,
            followed,
            // Who may register an address may make us call it: this machine's own services are out
            // of bounds once others can reach the API.
            egress: egress::Policy {
                loopback: bound.address.ip().is_loopback(),
                ..egress::Policy::default()
            },
            clock,
        };
        match parts.start(plan, bound).await {
            Ok(started) => Ok((parts, started)),
            Err(error) => {
                parts.shut_down().await;
                Err(error)
            }
        }
    }

    /// The gateway binds its port before the sagas go on: a platform that cannot serve does no work.
    async fn start(&mut self, plan: Plan<'_>, bound: Bound) -> Result<Started, StartError> {
        let config = plan.config;
        let Opened {
            registry,
            consul,
            members,
            heard,
        } = self.open_registry(&plan).await?;
        let is_followed = plan.followed.is_some();
        let resolver = registry::resolver(config, registry.clone(), is_followed, &self.work)?;
        let keep = |_| live::Kept::new(config, &plan.clock, self.exports.sink());
        let kept = self.storage.as_ref().map(keep);
        let traces = kept.as_ref().map(|kept| kept.traces.clone());
        self.own_lines = traces.clone().map(live::keep_own_lines);
        let breakers = live::breakers(&plan.clock, &resolver);

        let formats = self.exports.propagators();
        let mut moved: Vec<_> = bound.moved.into_iter().collect();
        if config.platform.plays(Role::Gateway) {
            let sink = self.sink(traces.as_ref());
            let shared = shared::open(config, &plan.clock, &self.work).await?;
            let (clock, egress) = (&plan.clock, plan.egress);
            let (handle, away) =
                gateway::start(config, &resolver, sink, formats, clock, egress, shared)?;
            moved.extend(away);
            self.gateway = Some(handle);
        }
        let (mut more, mut sagas) = (Vec::new(), None);
        if let (true, Some(storage), Some(traces)) =
            (config.platform.plays(Role::Sagas), &self.storage, &traces)
        {
            let opened = sagas::open(
                config,
                storage,
                &resolver,
                traces,
                formats,
                &plan.clock,
                &self.work,
            );
            let engine = opened.await?;
            more.push(api::sagas::routes(engine.clone()));
            sagas = Some(engine);
        }
        let catalogue = api::Catalogue {
            registry: Arc::clone(&registry),
            routes: routes_of(self.gateway.clone()),
        };
        if let Some(storage) = &self.storage {
            let sources = impact::sources(config, storage, &catalogue, sagas.clone());
            more.push(api::impact::routes(sources));
        }
        let mirror = self.mirror(config, sagas.clone(), &plan.clock);
        let told = Told {
            members,
            sagas: sagas.clone(),
            mirror: mirror.clone(),
            heard,
        };
        let pages = self.storage.as_ref().zip(kept).map(|(storage, kept)| {
            let shown = live::Shown {
                config,
                clock: &plan.clock,
                registry: &registry,
                storage,
                gateway: self.gateway.clone(),
                sagas: sagas.clone(),
                kept,
                breakers: breakers.clone(),
            };
            live::pages(shown, &self.api)
        });
        let vitals = vitals::of(Seen {
            mirror,
            storage: self.storage.as_ref(),
            traces: traces.as_ref(),
            resolver: &resolver,
            gateway: self.gateway.clone(),
            sagas,
            exported: self.exports.outcomes(),
            followed: plan.followed.as_ref().map(place),
            retired: self.retired.clone(),
        });
        self.exports.read_metrics(&vitals.metrics, &plan.clock);
        let api = api::Parts {
            guard: api::Guard::new(plan.token, &config.platform.allowed_hosts),
            max_body: usize::try_from(config.platform.max_body.0).unwrap_or(usize::MAX),
            log: self.storage.as_ref().map(|storage| self.log_api(storage)),
            topics: self
                .storage
                .as_ref()
                .map(|storage| self.topics_api(storage)),
            company: self.company(config, told),
            vitals,
            traces,
            live: pages,
            breakers,
            catalogue,
            more,
            consul,
            absent: elsewhere::absent(config, plan.followed.as_ref()),
        };
        self.serve(bound.listener, api::router(api));
        Ok(Started {
            gateway: self.gateway.clone(),
            api_addr: bound.address,
            log: match (&self.storage, &plan.followed) {
                (Some(storage), _) => storage.place.clone(),
                (None, followed) => {
                    let registry = followed.as_ref().map(place).unwrap_or_default();
                    format!("none here; follows the registry at {registry}")
                }
            },
            topics: self.broker.as_ref().map(OnBroker::place),
            caveats: self
                .broker
                .as_ref()
                .map(OnBroker::caveats)
                .unwrap_or_default(),
            moved,
            retired: self.retired.clone(),
        })
    }

    /// Copies topics from the broker, if there is one.
    fn mirror(
        &self,
        config: &Config,
        sagas: Option<ieum_saga::Handle>,
        clock: &Clock,
    ) -> Option<topics::mirror::Status> {
        let (broker, storage) = (self.broker.as_ref()?, self.storage.as_ref()?);
        let always = &config.topics.mirror;
        let member = config.platform.name();
        Some(broker.mirror(storage, always, sagas, &member, clock, &self.work))
    }

    /// The registry, and Consul's API for it if it is this process that keeps it.
    async fn open_registry(&self, plan: &Plan<'_>) -> Result<Opened, StartError> {
        if let Some(url) = &plan.followed {
            return Ok(Opened {
                registry: registry::followed(url, &self.work)?,
                consul: None,
                members: None,
                heard: Arc::new(Heard::default),
            });
        }
        let Some(storage) = &self.storage else {
            return Err(StartError::new(
                "a registry needs a log, or another to follow",
            ));
        };
        let own = registry::own(registry::Means {
            config: plan.config,
            storage,
            clock: &plan.clock,
            egress: plan.egress,
            token: plan.token.clone(),
            tasks: &self.work,
        });
        let own = own.await?;
        let consul = consul::router(own.registry.clone(), own.kv.clone(), &plan.config.registry);
        let (registry, kv, run) = (own.registry.clone(), own.kv, plan.clock.new_id());
        Ok(Opened {
            registry: own.registry,
            consul: Some(consul),
            members: own.members,
            heard: Arc::new(move || Heard::here(registry.live().told(), kv.told()).in_run(run)),
        })
    }

    /// Who else is on the log, for the API.
    fn company(&self, config: &Config, told: Told) -> Option<api::Company> {
        self.storage.as_ref()?;
        let name = config.platform.name();
        let Told {
            members,
            sagas,
            mirror,
            heard,
        } = told;
        Some(api::Company {
            platforms: Arc::new(move || {
                several::company(&name, members.as_ref(), sagas.as_ref(), mirror.as_ref())
            }),
            heard,
        })
    }

    /// What spans of this process are recorded into.
    fn sink(&self, traces: Option<&Store>) -> Option<Arc<dyn SpanSink>> {
        match traces {
            Some(store) => Some(Arc::new(store.clone())),
            None => self.exports.sink(),
        }
    }

    fn log_api(&self, storage: &Storage) -> api::Log {
        api::Log {
            store: Arc::clone(&storage.events),
            checkpoints: Arc::clone(&storage.checkpoints),
            fences: Arc::clone(&storage.fences),
            stop: self.api.stop().clone(),
        }
    }

    fn topics_api(&self, storage: &Storage) -> api::Topics {
        let topics = storage.topics.clone();
        api::Topics {
            publisher: match &self.broker {
                Some(broker) => broker.publisher(),
                None => topics.publisher,
            },
            groups: topics.groups,
            limits: ieum_messaging::Limits::default(),
            operate: topics.operate,
            inspect: topics.inspect,
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

    /// Stops everything: first what takes work in, then what does it, then what tells of it and what
    /// answers, at last what keeps it.
    pub(super) async fn shut_down(self) -> Vec<Abandoned> {
        self.retired.request();
        let mut abandoned = Vec::new();
        if let Some(gateway) = &self.gateway {
            let count = gateway.stop().await.abandoned;
            let name = "gateway request";
            abandoned.extend((count > 0).then_some(Abandoned { name, count }));
        }
        abandoned.extend(self.work.shut_down(self.drain).await);
        self.exports.flush().await;
        abandoned.extend(self.api.shut_down(self.drain).await);
        if let Some(storage) = &self.storage {
            storage.close().await;
        }
        abandoned.extend(self.tasks.shut_down(self.drain).await);
        abandoned
    }
}

/// A registry's address for people, without its token.
fn place(url: &EngineUrl) -> String {
    format!("{}://{}", url.scheme(), url.rest())
}
