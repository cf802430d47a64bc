//! A service from its start to its end.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use ieum_base::trace::{SpanSink, Tracer};
use ieum_base::{Abandoned, Clock, Stop, Tasks};
use ieum_discovery::{Registry, Resolver};
use ieum_http::listener::{self, BindError};
use ieum_http::server;
use ieum_telemetry::otlp;
use tokio::net::TcpListener;

#[cfg(feature = "grpc")]
use crate::grpc::{DescriptorError, Mounted, Services};
use crate::observe::Observer;
use crate::registration::Registrar;
use crate::router::frame;
use crate::telemetry::names::RequestMetrics;
use crate::telemetry::{Exporter, Settings};
use crate::{Config, Health, Metrics, breakers, figures};

/// What every service needs around its own routes. Nothing here is global: several services may
/// live in one process, each with its own chassis.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ieum_base::Stop;
/// use ieum_chassis::{Chassis, Config, stop_on_signals, telemetry};
///
/// telemetry::init("users");
/// let stop = Stop::new();
/// stop_on_signals(&stop)?;
/// let chassis = Chassis::new(Config::new("users"));
/// chassis
///     .health("database", || async { Ok::<_, String>(()) })
///     .router(axum::Router::new())
///     .run(stop)
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct Chassis {
    config: Config,
    router: Router,
    /// Routes without spans and figures.
    bare: Router,
    /// Calls of gRPC, which `router` does not replace.
    calls: Router,
    health: Health,
    metrics: Metrics,
    clock: Clock,
    tracer: Tracer,
    exporter: Option<Exporter>,
    registry: Option<Arc<dyn Registry>>,
    listener: Option<TcpListener>,
    tasks: Tasks,
}

/// How a service ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Connections whose request was still running at the deadline.
    pub connections: usize,
    /// Background tasks that were still running at the deadline.
    pub tasks: Vec<Abandoned>,
}

impl Chassis {
    /// A service with these settings, on the current tokio runtime. If they name a platform, its
    /// spans go there; what the environment says about telemetry (`OTEL_…`) holds beside.
    pub fn new(config: Config) -> Self {
        Self::with_telemetry(config, Settings::from_env())
    }

    /// As [`Self::new`], with the settings of telemetry in place of the environment's.
    pub fn with_telemetry(config: Config, settings: Settings) -> Self {
        let clock = Clock::system();
        let name = settings.service.clone();
        let name = name.unwrap_or_else(|| config.service.clone());
        let propagators = settings.propagators;
        let exporter = Exporter::start(&otlp::Config {
            platform: config.platform.clone(),
            platform_token: config.platform_token.clone(),
            settings,
            ..otlp::Config::new(&*name)
        });
        let tracer = match &exporter {
            Some(exporter) => {
                let sink: Arc<dyn SpanSink> = Arc::new(exporter.clone());
                Tracer::new(name, sink, clock.clone())
            }
            None => Tracer::off(name),
        };
        let tracer = tracer.propagating(propagators);
        let metrics = Metrics::new();
        if let Some(exporter) = &exporter {
            for (name, help, family) in exporter.outcomes().named() {
                metrics.register(name, help, family);
            }
        }
        Self {
            router: Router::new(),
            bare: Router::new(),
            calls: Router::new(),
            health: Health::new(config.health_timeout.0, config.health_cache.0),
            metrics,
            clock,
            tracer,
            exporter,
            registry: None,
            listener: None,
            tasks: Tasks::new(Stop::new()),
            config,
        }
    }

    /// The service's own routes.
    #[must_use]
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// Serves these over gRPC, on the port of its routes, with health and reflection.
    ///
    /// # Errors
    /// If their descriptors are damaged.
    #[cfg(feature = "grpc")]
    pub fn grpc(mut self, services: Services) -> Result<Self, DescriptorError> {
        let Mounted { calls, health } = services.mount(&self.health, &self.config, &self.clock)?;
        self.calls = calls;
        self.bare = health;
        Ok(self)
    }

    /// Adds a health check: `/health` and the registry's check fail while it fails.
    #[must_use]
    pub fn health<C, F, E>(self, name: impl Into<String>, check: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.health.add(name, check);
        self
    }

    /// Adds a check of something that the service can do without for a while: `/health` says
    /// `degraded` while it fails, and the service stays in the registry.
    #[must_use]
    pub fn remark<C, F, E>(self, name: impl Into<String>, check: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.health.add_remark(name, check);
        self
    }

    /// Registers the service there once it listens.
    #[must_use]
    pub fn registry(mut self, registry: Arc<dyn Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Sends spans to `sink` in place of the platform: for tests, and for a sink that the services
    /// of one process share.
    #[must_use]
    pub fn spans_to(mut self, sink: Arc<dyn SpanSink>) -> Self {
        self.tracer = Tracer::new(&*self.config.service, sink, self.clock.clone());
        self
    }

    /// Uses a listener that exists already.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Shows how the service sees those that it finds by `resolver`: endpoints, requests in flight and
    /// circuit breakers among its metrics; to the platform, if it has one, also why breakers changed.
    pub fn watch_endpoints(&self, resolver: &Resolver) {
        figures::watch_endpoints(&self.metrics, resolver.clone());
        if let Some(exporter) = &self.exporter {
            let reporter = breakers::reporter(resolver.clone(), self.clock.clone());
            exporter.report(reporter, &self.clock);
        }
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Records spans under the service's name.
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The service's metrics, shown at `/metrics`.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The service's health.
    pub const fn health_checks(&self) -> &Health {
        &self.health
    }

    /// The clock of its spans.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tree for the service's background tasks: clients, relays, consumers. Its stop is
    /// requested after the last request was answered, so that requests can use them to the end.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Listens, without serving yet: the address is known before anybody is told.
    ///
    /// # Errors
    /// If the address cannot be listened on, with what to do.
    pub fn bind(mut self) -> Result<Bound, BindError> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None if self.config.next_free_port => listener::bind_first_free(self.config.listen)?,
            None => listener::bind(self.config.listen)?,
        };
        let address = listener.local_addr().unwrap_or(self.config.listen);
        Ok(Bound {
            chassis: self,
            listener,
            address,
        })
    }

    /// Listens, registers and serves until `stop` is requested or an essential task ends; then
    /// stops in order.
    ///
    /// # Errors
    /// If the address cannot be listened on, with what to do.
    pub async fn run(self, stop: Stop) -> Result<Ended, BindError> {
        Ok(self.bind()?.run(stop).await)
    }
}

/// A service that listens and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    chassis: Chassis,
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The chassis.
    pub const fn chassis(&self) -> &Chassis {
        &self.chassis
    }

    /// Serves until `stop` is requested or an essential task ends, then stops in order:
    ///
    /// 1. `/health` turns red, and the instance leaves the registry: nobody new is sent here;
    /// 2. it lingers, still accepting, for callers that have not noticed;
    /// 3. it accepts nothing more, and running requests finish (until the drain's deadline);
    /// 4. background tasks end (likewise);
    /// 5. waiting spans are sent.
    pub async fn run(self, stop: Stop) -> Ended {
        let (mut chassis, address) = (self.chassis, self.address);
        let config = chassis.config.clone();
        let accepting = Stop::new();
        chassis.read_metrics();
        let served = server::serve(
            self.listener,
            chassis.frame(),
            config.server(),
            accepting.clone(),
            &chassis.tasks,
        );
        let registrar = chassis
            .registry
            .clone()
            .map(|registry| Registrar::new(registry, &config, address, chassis.health.clone()));
        tracing::info!(service = config.service, %address, "serving");
        let life = async {
            tokio::select! {
                () = keep_registered(registrar.as_ref(), &stop) => {}
                () = stop.requested() => {}
                () = chassis.tasks.stop().requested() => {}
            }
            tracing::info!(service = config.service, "stopping");
            chassis.health.not_ready();
            if let Some(registrar) = &registrar {
                registrar.deregister().await;
                tokio::time::sleep(config.linger.0).await;
            }
            accepting.request();
        };
        let (drained, ()) = tokio::join!(served, life);
        let abandoned = chassis.tasks.shut_down(config.drain.0).await;
        for task in &abandoned {
            tracing::warn!(task = task.name, count = task.count, "did not end in time");
        }
        if let Some(exporter) = &chassis.exporter {
            exporter.shut_down(FLUSH_LIMIT).await;
        }
        tracing::info!(service = config.service, "stopped");
        Ended {
            connections: drained.abandoned,
            tasks: abandoned,
        }
    }
}

impl Chassis {
    /// Has the exporter read what `/metrics` shows.
    fn read_metrics(&self) {
        if let Some(exporter) = &self.exporter {
            let metrics = self.metrics.clone();
            let text = move || {
                let metrics = metrics.clone();
                async move { metrics.show().await }.boxed()
            };
            exporter.read_metrics(Arc::new(text), &self.clock);
        }
    }

    pub(crate) fn frame(&mut self) -> Router {
        let observer = Arc::new(Observer {
            service: self.config.service.as_str().into(),
            tracer: self.tracer.clone(),
            clock: self.clock.clone(),
            metrics: RequestMetrics::register(&self.metrics),
        });
        let routes = std::mem::take(&mut self.router);
        let framed = frame(
            routes.merge(std::mem::take(&mut self.calls)),
            observer,
            self.health.clone(),
            self.metrics.clone(),
            usize::try_from(self.config.max_body.0).unwrap_or(usize::MAX),
        );
        framed.merge(std::mem::take(&mut self.bare))
    }
}

impl fmt::Debug for Chassis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chassis")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Stays registered until the stop; without a registry there is nothing to do until then.
async fn keep_registered(registrar: Option<&Registrar>, stop: &Stop) {
    match registrar {
        Some(registrar) => registrar.run(stop).await,
        None => stop.requested().await,
    }
}

const FLUSH_LIMIT: Duration = Duration::from_secs(5);
