//! Starting, reloading and stopping.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ieum_base::trace::Tracer;
use ieum_base::{Clock, Rng, Stop};
use ieum_discovery::Resolver;
use ieum_http::{connector, egress, listener};
use ieum_resilience::Cache;
use ieum_resilience::rate_limit::Store;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};

use crate::access_log::Writer;
use crate::config::{Auth, Config, ConfigError, Warning};
use crate::federation::GraphqlInfo;
use crate::table::{SplitInfo, Table, Target, Workshop};
use crate::telemetry::Telemetry;
use crate::thread::{self, Thread};
use crate::transcoding::TranscodeInfo;
use crate::upstream::Upstreams;

/// What a gateway is given.
#[derive(Clone)]
pub struct Deps {
    /// Finds the endpoints of services.
    pub resolver: Resolver,
    /// Records spans.
    pub tracer: Tracer,
    /// The time of day.
    pub clock: Clock,
    /// A source for draws.
    pub rng: Rng,
    /// Which addresses may be called.
    pub egress: egress::Policy,
    /// Where rate limits are counted; `None` for this process alone. Several gateways with one store
    /// share the limits of routes that have the same name.
    pub limits: Option<Arc<dyn Store>>,
    /// Where routes with a `cache` keep answers; `None` for this process' memory.
    pub cache: Option<Arc<dyn Cache>>,
}

impl Deps {
    /// A resolver, the machine's clock, no recorded spans, and the usual egress policy.
    pub fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            tracer: Tracer::off("gateway"),
            clock: Clock::system(),
            rng: Rng::system(),
            egress: egress::Policy::default(),
            limits: None,
            cache: None,
        }
    }
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps")
            .field("resolver", &self.resolver)
            .field("shares_limits", &self.limits.is_some())
            .field("shares_cache", &self.cache.is_some())
            .finish_non_exhaustive()
    }
}

/// The gateway.
#[derive(Debug)]
pub struct Gateway;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration makes no sense.
    #[error("the configuration has {} errors, the first: {}", .0.len(), .0.first().map_or_else(String::new, ToString::to_string))]
    Config(Vec<ConfigError>),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] listener::BindError),
    /// The access log cannot be opened.
    #[error("the access log cannot be opened")]
    AccessLog(#[source] io::Error),
    /// A thread cannot be started.
    #[error("a thread of the gateway cannot be started")]
    Thread(#[source] io::Error),
}

/// A running gateway. Clones are the same gateway.
#[derive(Clone)]
pub struct Handle(Arc<Running>);

struct Running {
    addr: SocketAddr,
    tables: Arc<ArcSwap<Table>>,
    /// Told after each change of the table.
    reloaded: Arc<Notify>,
    workshop: Workshop,
    stop: Stop,
    threads: Mutex<Vec<Thread>>,
    writer: Mutex<Option<Writer>>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// How a gateway stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Connections whose request was still running at the drain's deadline.
    pub abandoned: usize,
}

/// A route as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteInfo {
    /// Its name.
    pub name: String,
    /// Its path, as it was configured.
    pub path: String,
    /// Its methods; empty for all.
    pub methods: Vec<String>,
    /// The services or addresses that answer.
    pub upstreams: Vec<String>,
    /// Which share of the requests goes elsewhere, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitInfo>,
    /// Who may call it; `None` means that nobody may.
    pub auth: Option<Auth>,
    /// The roles of which the caller needs one.
    pub roles: Vec<String>,
    /// How its graph is, if it offers one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphql: Option<GraphqlInfo>,
    /// What it translates, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcode: Option<TranscodeInfo>,
}

impl Gateway {
    /// Starts the threads of the data path and listens. The resolver's own runtime is not used for
    /// traffic.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, at once; an address that is in use.
    pub fn start(config: Config, deps: Deps) -> Result<Handle, StartError> {
        let workshop = Workshop {
            upstreams: Upstreams::new(deps.resolver.clone()),
            telemetry: Arc::new(Telemetry::new()),
            clock: deps.clock.clone(),
            limits: deps.limits.clone(),
            caching: OnceLock::new(),
            cache: deps.cache.clone(),
            rng: deps.rng.clone(),
        };
        warn(&config.warnings());
        let table = Table::compile(config, &workshop, None).map_err(StartError::Config)?;
        let config = table.config.clone();
        let listeners = listen(&config)?;
        let addr = listeners[0].local_addr().map_err(StartError::Thread)?;
        let writer = Writer::open(&config.access_log).map_err(StartError::AccessLog)?;
        let tables = Arc::new(ArcSwap::from_pointee(table));
        let (stop, reloaded) = (Stop::new(), Arc::new(Notify::new()));
        let deps = Arc::new(deps);
        let log = || {
            let lost = || workshop.telemetry.log_lines_lost.clone();
            writer.as_ref().map(|writer| writer.buffer(lost()))
        };
        let setup = |(index, listener)| thread::Setup {
            index,
            listener,
            config: config.clone(),
            deps: Arc::clone(&deps),
            connector: connector(&config, &deps),
            tables: Arc::clone(&tables),
            reloaded: Arc::clone(&reloaded),
            telemetry: Arc::clone(&workshop.telemetry),
            log: log(),
            stop: stop.clone(),
        };
        let setups = listeners.into_iter().enumerate().map(setup);
        let threads: io::Result<Vec<Thread>> = setups.map(thread::start).collect();
        let threads = threads.map_err(|error| {
            // Those that did start must not go on alone.
            stop.request();
            StartError::Thread(error)
        })?;
        Ok(Handle(Arc::new(Running {
            addr,
            tables,
            reloaded,
            workshop,
            stop,
            threads: Mutex::new(threads),
            writer: Mutex::new(writer),
            reloading: Mutex::default(),
        })))
    }
}

impl Handle {
    /// The address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Takes another configuration, whole or not at all. Requests that are running keep the one they
    /// began with; breakers, budgets and unchanged rate limits keep their state.
    ///
    /// What belongs to threads (`listen`, `threads`, `access-log`, `connections`, connect and header
    /// timeouts, limits of heads, connections and streams) and to upstreams in use (`bulkhead`, the
    /// budget and backoff of `retry`) stays as it was until a restart; the answer names what of it
    /// was changed in vain.
    ///
    /// # Errors
    /// Everything that is wrong; the present configuration stays.
    pub fn reload(&self, config: Config) -> Result<Vec<Warning>, Vec<ConfigError>> {
        let running = &self.0;
        let _one_at_a_time = running
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = running.tables.load_full();
        let mut warnings = config.warnings();
        warnings.extend(needs_restart(&before.config, &config));
        let table = Table::compile(config, &running.workshop, Some(&before));
        running.workshop.telemetry.reloaded(table.is_ok());
        running.tables.store(Arc::new(table?));
        running.reloaded.notify_one();
        drop(before);
        running.workshop.upstreams.forget_unused();
        warn(&warnings);
        Ok(warnings)
    }

    /// What of `config` differs from the present one and would take effect only after a restart; see
    /// [`Handle::reload`].
    pub fn needs_restart(&self, config: &Config) -> Vec<Warning> {
        needs_restart(&self.0.tables.load().config, config)
    }

    /// Stops accepting, lets running requests finish until the drain's deadline, and says how many it
    /// cut off. A second call finds nothing left to do.
    pub async fn stop(&self) -> Stopped {
        self.0.stop.request();
        let threads = std::mem::take(
            &mut *self
                .0
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let mut stopped = Stopped::default();
        for thread in threads {
            stopped.abandoned += thread.drained().await;
        }
        let writer = self
            .0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let (done, closed) = oneshot::channel();
            // Joining a thread blocks; the writer has at most a few blocks left.
            let closer = std::thread::Builder::new().spawn(move || {
                writer.close();
                let _ = done.send(());
            });
            if closer.is_ok() {
                let _ = tokio::time::timeout(LOG_CLOSE, closed).await;
            }
        }
        stopped
    }

    /// Resolves when the gateway has ended by itself: a thread of the data path died.
    pub async fn failed(&self) {
        self.0.stop.requested().await;
    }

    /// The metrics in the OpenMetrics text format.
    pub fn metrics_text(&self) -> String {
        self.0.workshop.telemetry.text()
    }

    /// The routes, in the order of their configuration.
    pub fn routes(&self) -> Vec<RouteInfo> {
        let table = self.0.tables.load();
        let described = table.routes.iter().zip(&table.config.routes);
        described
            .map(|(route, config)| RouteInfo {
                name: config.name.clone(),
                path: config.path.clone(),
                methods: config.methods.clone(),
                upstreams: match &route.target {
                    Target::Upstream(upstream) => {
                        let new = route.split.as_ref().map(|split| &split.upstream);
                        let both = [Some(upstream), new].into_iter().flatten();
                        both.map(|upstream| upstream.name.to_string()).collect()
                    }
                    Target::Compose(parts) => parts
                        .iter()
                        .map(|part| part.upstream.name.to_string())
                        .collect(),
                    Target::Transcode(transcoding) => {
                        vec![transcoding.upstream.name.to_string()]
                    }
                    Target::Graphql(graph) => graph
                        .subgraphs
                        .iter()
                        .map(|subgraph| subgraph.upstream.name.to_string())
                        .collect(),
                },
                graphql: route.federation().map(|graph| graph.info()),
                transcode: route.transcoding().map(|transcoding| transcoding.info()),
                split: route
                    .split
                    .as_ref()
                    .zip(config.split.as_ref())
                    .map(|(split, config)| SplitInfo::new(split, config)),
                auth: config.auth,
                roles: config.roles.clone(),
            })
            .collect()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.addr).finish()
    }
}

fn listen(config: &Config) -> Result<Vec<std::net::TcpListener>, listener::BindError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = config.threads.unwrap_or(cores).max(1);
    match config.listen {
        Some(address) => listener::bind_shared(address, count),
        None => listener::bind_shared_first_free(Config::DEFAULT_LISTEN, count),
    }
}

fn connector(config: &Config, deps: &Deps) -> connector::Config {
    connector::Config {
        connect_timeout: config.timeouts.connect.0,
        egress: deps.egress,
        ..connector::Config::default()
    }
}

fn warn(warnings: &[Warning]) {
    for Warning { path, message } in warnings {
        tracing::warn!(path, "{message}");
    }
}

fn needs_restart(before: &Config, after: &Config) -> Vec<Warning> {
    let pace = |config: &Config| (config.retry.budget, config.retry.backoff());
    let changed = [
        ("listen", before.listen != after.listen),
        ("threads", before.threads != after.threads),
        ("access-log", before.access_log != after.access_log),
        ("bulkhead", before.bulkhead != after.bulkhead),
        ("retry", pace(before) != pace(after)),
        ("connections", before.connections != after.connections),
        (
            "timeouts.connect",
            before.timeouts.connect != after.timeouts.connect,
        ),
        (
            "timeouts.header",
            before.timeouts.header != after.timeouts.header,
        ),
        (
            "timeouts.drain",
            before.timeouts.drain != after.timeouts.drain,
        ),
        (
            "limits.header-size",
            before.limits.header_size != after.limits.header_size,
        ),
        (
            "limits.headers",
            before.limits.headers != after.limits.headers,
        ),
        (
            "limits.connections",
            before.limits.connections != after.limits.connections,
        ),
        (
            "limits.streams",
            before.limits.streams != after.limits.streams,
        ),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed
        .map(|(field, _)| Warning {
            path: format!("gateway.{field}"),
            message: format!("`{field}` was changed; it takes effect after a restart"),
        })
        .collect()
}

const LOG_CLOSE: Duration = Duration::from_secs(2);
