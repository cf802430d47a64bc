//! The exporter of a process: every signal on its way to every destination.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use ieum_base::trace::{SpanData, SpanSink};
use ieum_base::{Clock, Secret, Stop, TaskKind, Tasks};
use ieum_http::Target;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::resource::Facts;
use super::settings::{Destination, Protocol, Queue, Settings, Signal};
use super::spans::{Spans, nanos};
use super::worker::{Encode, Way};
use crate::logs::{self, Forwarding, LogItem, Wanted};
use crate::metrics::exposition;
use crate::proto::{
    LogRecord, LogsRequest, Metric, MetricsRequest, ResourceLogs, ResourceMetrics, ScopeLogs,
    ScopeMetrics,
};

/// What an exporter is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The service: in metrics and logs. (A span says itself who recorded it.)
    pub service: String,
    /// The URL of the platform's API, which takes spans, the log records of traces, and reports of
    /// circuit breakers. Default none.
    pub platform: Option<String>,
    /// The token that the platform asks for. Default none.
    pub platform_token: Option<Secret>,
    /// How spans wait for the platform. Default: as for a collector, but for at most 100 ms.
    pub platform_queue: Queue,
    /// How often the platform is told what [`Exporter::report`] reads. Default 2 s.
    pub platform_interval: Duration,
    /// Where else what goes.
    pub settings: Settings,
}

impl Config {
    /// Nothing is exported for this service.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            platform: None,
            platform_token: None,
            platform_queue: Queue {
                interval: Duration::from_millis(100),
                ..Queue::default()
            },
            platform_interval: Duration::from_secs(2),
            settings: Settings::default(),
        }
    }

    fn to_platform(&self, signal: Signal) -> Option<Destination> {
        let url = self.platform.as_deref()?;
        let Ok(target) = url
            .parse()
            .map_err(|_| ())
            .and_then(|u| Target::of(&u).map_err(|_| ()))
        else {
            if signal == Signal::Traces {
                tracing::error!("the platform's URL is none; nothing goes there");
            }
            return None;
        };
        Some(Destination {
            target,
            path: signal.path().to_owned(),
            protocol: Protocol::HttpProtobuf,
            headers: self.platform_token.iter().filter_map(bearer).collect(),
            timeout: Duration::from_secs(5),
            gzip: false,
            queue: self.platform_queue,
        })
    }
}

/// The header with a token; one that cannot be a header's value is not sent, and the platform's 401
/// says so.
fn bearer(token: &Secret) -> Option<(HeaderName, Secret<HeaderValue>)> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    Some((AUTHORIZATION, Secret::new(value)))
}

/// What is read from time to time for the platform, beside spans.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Metrics as they are.
    pub metrics: Vec<Metric>,
    /// What happened since the last time.
    pub records: Vec<LogRecord>,
}

/// Reads a report; must not block.
pub type Reporter = Arc<dyn Fn() -> Report + Send + Sync>;

/// Answers the metrics of the process in the text format of Prometheus.
pub type MetricsText = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Sends what a process tells to where it was told to. Clones are the same exporter; services of one
/// process may share one.
#[derive(Clone)]
pub struct Exporter(Arc<Shared>);

struct Shared {
    spans: Vec<Way<SpanData>>,
    metrics: Option<Way<ScopeMetrics>>,
    logs: Option<Way<LogItem>>,
    platform: Option<Platform>,
    metric_interval: Duration,
    /// Ended at the stop: what comes later is not forwarded.
    forwarding: Mutex<Vec<Forwarding>>,
    /// What remains to be done before the ways are closed.
    stopping: Stop,
    closing: Stop,
    /// The readers of metrics, then the workers.
    readers: Tasks,
    workers: Tasks,
    outcomes: Outcomes,
}

/// The ways to the platform beside that of spans.
struct Platform {
    metrics: Way<ScopeMetrics>,
    logs: Way<LogItem>,
    interval: Duration,
}

/// What became of things, by signal and destination.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// Taken by the other side: `ieum_telemetry_exported`.
    pub exported: Family<Labels, Counter>,
    /// Dropped because the queue was full: `ieum_telemetry_overflowed`.
    pub overflowed: Family<Labels, Counter>,
    /// Dropped because the other side did not take them: `ieum_telemetry_refused`.
    pub refused: Family<Labels, Counter>,
}

/// Of which way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    /// `traces`, `metrics` or `logs`.
    pub signal: &'static str,
    /// `platform` or `collector`.
    pub destination: &'static str,
}

/// What became of all things together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Taken by the other side.
    pub exported: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped because the other side did not take them.
    pub refused: u64,
}

impl Outcomes {
    fn of(&self, signal: Signal, destination: &'static str) -> super::worker::Figures {
        let labels = Labels {
            signal: signal.label(),
            destination,
        };
        super::worker::Figures {
            exported: self.exported.get_or_create_owned(&labels),
            overflowed: self.overflowed.get_or_create_owned(&labels),
            refused: self.refused.get_or_create_owned(&labels),
        }
    }

    /// The families with their names, without `_total`, and their help.
    pub fn named(&self) -> [(&'static str, &'static str, Family<Labels, Counter>); 3] {
        [
            (
                "ieum_telemetry_exported",
                "Spans, points and log records taken by their destination",
                self.exported.clone(),
            ),
            (
                "ieum_telemetry_overflowed",
                "Spans, points and log records dropped because the queue was full",
                self.overflowed.clone(),
            ),
            (
                "ieum_telemetry_refused",
                "Spans, points and log records dropped because their destination did not take them",
                self.refused.clone(),
            ),
        ]
    }
}

impl Exporter {
    /// Starts on the current runtime what the settings ask for; `None` if that is nothing.
    pub fn start(config: &Config) -> Option<Self> {
        let settings = &config.settings;
        for remark in &settings.remarks {
            tracing::warn!("{remark}");
        }
        let (closing, workers) = (Stop::new(), Tasks::new(Stop::new()));
        let facts = Arc::new(Facts::new(&settings.resource));
        let outcomes = Outcomes::default();
        let traces = |destination: Option<Destination>, name| {
            let figures = outcomes.of(Signal::Traces, name);
            let spans = Spans(Arc::clone(&facts));
            destination.map(|to| Way::start(to, spans, figures, closing.clone(), &workers))
        };
        let to_platform = |signal| config.to_platform(signal).filter(|_| !settings.disabled);
        let spans = traces(to_platform(Signal::Traces), PLATFORM).into_iter();
        let spans: Vec<_> = spans
            .chain(traces(settings.traces.clone(), COLLECTOR))
            .collect();
        let name = settings.service.as_ref().unwrap_or(&config.service);
        let process: Arc<str> = name.as_str().into();
        let metrics = |to: Destination, name| {
            let encode = Metrics(Arc::clone(&facts), Arc::clone(&process));
            let figures = outcomes.of(Signal::Metrics, name);
            Way::start(to, encode, figures, closing.clone(), &workers)
        };
        let logs = |to: Destination, name| {
            let encode = Logs(Arc::clone(&facts), Arc::clone(&process));
            let figures = outcomes.of(Signal::Logs, name);
            Way::start(to, encode, figures, closing.clone(), &workers)
        };
        let platform = to_platform(Signal::Metrics).zip(to_platform(Signal::Logs));
        let platform = platform.map(|(to_metrics, to_logs)| Platform {
            metrics: metrics(to_metrics, PLATFORM),
            logs: logs(to_logs, PLATFORM),
            interval: config.platform_interval,
        });
        let metrics = settings.metrics.clone().map(|to| metrics(to, COLLECTOR));
        let logs = settings.logs.clone().map(|to| logs(to, COLLECTOR));
        if spans.is_empty() && metrics.is_none() && logs.is_none() {
            return None;
        }
        let mut forwarding = Vec::new();
        if let Some(logs) = logs.clone() {
            let take = Arc::new(move |item| logs.offer(item));
            let place = COLLECTOR.to_owned();
            forwarding.push(logs::forward(place, Wanted::All, take));
        }
        if let Some(logs) = platform.as_ref().map(|platform| platform.logs.clone()) {
            let take = Arc::new(move |item| logs.offer(item));
            let place = config.platform.clone().unwrap_or_default();
            forwarding.push(logs::forward(place, Wanted::OfTraces, take));
        }
        let stopping = Stop::new();
        Some(Self(Arc::new(Shared {
            spans,
            metrics,
            logs,
            platform,
            forwarding: Mutex::new(forwarding),
            metric_interval: settings.metric_interval,
            readers: Tasks::new(stopping.clone()),
            stopping,
            closing,
            workers,
            outcomes,
        })))
    }

    /// Reads metrics from time to time, and once more at the end, if they are to be exported.
    pub fn read_metrics(&self, text: MetricsText, clock: &Clock) {
        let Some(way) = self.0.metrics.clone() else {
            return;
        };
        let (interval, stopping) = (self.0.metric_interval, self.0.stopping.clone());
        let (clock, since) = (clock.clone(), nanos(clock.now()));
        let read = async move {
            loop {
                let pause = stopping
                    .unless_requested(tokio::time::sleep(interval))
                    .await;
                match exposition::parse(&text().await) {
                    Ok(families) => way.offer(ScopeMetrics {
                        scope: Some(Facts::scope()),
                        metrics: exposition::to_otlp(&families, since, nanos(clock.now())),
                    }),
                    Err(error) => tracing::error!(%error, "our own metrics cannot be read"),
                }
                if pause.is_none() {
                    return;
                }
            }
        };
        self.0
            .readers
            .spawn(TaskKind::Background, "metrics-reader", read);
    }

    /// Tells the platform, if there is one, what `reporter` reads: from time to time, and once more at
    /// the end.
    pub fn report(&self, reporter: Reporter, clock: &Clock) {
        let Some(platform) = &self.0.platform else {
            return;
        };
        let (metrics, logs) = (platform.metrics.clone(), platform.logs.clone());
        let (interval, stopping) = (platform.interval, self.0.stopping.clone());
        let clock = clock.clone();
        let read = async move {
            loop {
                let pause = stopping.unless_requested(clock.sleep(interval)).await;
                let report = reporter();
                for record in report.records {
                    let service = None;
                    logs.offer(LogItem { service, record });
                }
                if !report.metrics.is_empty() {
                    metrics.offer(ScopeMetrics {
                        scope: Some(Facts::scope()),
                        metrics: report.metrics,
                    });
                }
                if pause.is_none() {
                    return;
                }
            }
        };
        self.0
            .readers
            .spawn(TaskKind::Background, "platform-reporter", read);
    }

    /// What became of things so far, for `/metrics`.
    pub fn outcomes(&self) -> &Outcomes {
        &self.0.outcomes
    }

    /// What became of all things together so far.
    pub fn figures(&self) -> Figures {
        let mut sum = Figures::default();
        let shared = &self.0;
        let spans = shared.spans.iter().map(|way| &way.figures);
        let metrics = shared.metrics_ways().map(|way| &way.figures);
        let logs = shared.logs_ways().map(|way| &way.figures);
        for figures in spans.chain(metrics).chain(logs) {
            sum.exported += figures.exported.get();
            sum.overflowed += figures.overflowed.get();
            sum.refused += figures.refused.get();
        }
        sum
    }

    /// Sends what is waiting, for at most `deadline`, and ends. What comes later is dropped.
    /// Idempotent.
    pub async fn shut_down(&self, deadline: Duration) -> Figures {
        let shared = &self.0;
        shared.stop_forwarding();
        let flush = async {
            // Metrics are read for the last time before the ways close.
            let _ = shared.readers.shut_down(deadline).await;
            shared.closing.request();
            let spans = shared.spans.iter().map(|way| &way.flushed);
            let metrics = shared.metrics_ways().map(|way| &way.flushed);
            let logs = shared.logs_ways().map(|way| &way.flushed);
            join_all(spans.chain(metrics).chain(logs).map(Stop::requested)).await;
        };
        shared.stopping.request();
        if tokio::time::timeout(deadline, flush).await.is_err() {
            shared.closing.request();
            tracing::warn!("telemetry was still waiting to be taken at the deadline");
        }
        // Its connections close at once: nothing is in flight any more, or nobody waits for it.
        let _ = shared.workers.shut_down(Duration::ZERO).await;
        self.figures()
    }
}

impl Shared {
    fn metrics_ways(&self) -> impl Iterator<Item = &Way<ScopeMetrics>> {
        let platform = self.platform.iter().map(|platform| &platform.metrics);
        self.metrics.iter().chain(platform)
    }

    fn logs_ways(&self) -> impl Iterator<Item = &Way<LogItem>> {
        let platform = self.platform.iter().map(|platform| &platform.logs);
        self.logs.iter().chain(platform)
    }

    fn stop_forwarding(&self) {
        let mut forwarding = self
            .forwarding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        forwarding.clear();
    }
}

impl SpanSink for Exporter {
    fn record(&self, span: SpanData) {
        let Some((last, others)) = self.0.spans.split_last() else {
            return;
        };
        for way in others {
            way.offer(span.clone());
        }
        last.offer(span);
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exporter").field(&self.figures()).finish()
    }
}

/// Makes requests of what was read at several times.
struct Metrics(Arc<Facts>, Arc<str>);

impl Encode for Metrics {
    type Item = ScopeMetrics;
    type Message = MetricsRequest;

    fn encode(&self, reads: &[ScopeMetrics]) -> MetricsRequest {
        MetricsRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.0.resource(&self.1)),
                scope_metrics: reads.to_vec(),
            }],
        }
    }

    fn weight(&self, read: &ScopeMetrics) -> u64 {
        read.points() as u64
    }
}

/// Makes requests of log records.
struct Logs(Arc<Facts>, Arc<str>);

impl Encode for Logs {
    type Item = LogItem;
    type Message = LogsRequest;

    /// By the service that a record names, if there are several in the process.
    fn encode(&self, items: &[LogItem]) -> LogsRequest {
        let mut services: Vec<(&str, ScopeLogs)> = Vec::new();
        for LogItem { service, record } in items {
            let service = service.as_deref().unwrap_or(&self.1);
            let known = services.iter().position(|(name, _)| *name == service);
            let at = known.unwrap_or_else(|| {
                let scope = Some(Facts::scope());
                let logs = ScopeLogs {
                    scope,
                    ..ScopeLogs::default()
                };
                services.push((service, logs));
                services.len() - 1
            });
            services[at].1.log_records.push(record.clone());
        }
        let services = services.into_iter().map(|(service, logs)| ResourceLogs {
            resource: Some(self.0.resource(service)),
            scope_logs: vec![logs],
        });
        LogsRequest {
            resource_logs: services.collect(),
        }
    }
}

const COLLECTOR: &str = "collector";
const PLATFORM: &str = "platform";
