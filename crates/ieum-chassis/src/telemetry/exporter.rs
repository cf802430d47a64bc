//! Spans to the platform, in batches, off the way of requests.
//!
//! Recording a span is one `try_send` into a bounded queue. What does not fit is dropped and
//! counted: telemetry never slows or stops the work that it describes. The exporter's own requests
//! are not traced, or they would beget spans for ever.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use ieum_base::trace::{SpanData, SpanSink};
use ieum_base::{Backoff, Rng, Secret, Stop, TaskKind, Tasks};
use ieum_http::HttpClient;
use ieum_http::client::json_request;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::names::{SPANS_EXPORTED, SPANS_OVERFLOWED, SPANS_REFUSED};
use super::otlp::ExportRequest;
use crate::Metrics;

/// The settings of an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterConfig {
    /// Where the batches go: `{platform}/v1/traces`.
    pub platform: String,
    /// The platform's token. Default: none.
    pub token: Option<Secret>,
    /// The most spans that wait. Default 65,536.
    pub queue: usize,
    /// The most spans in one batch. Default 512.
    pub batch: usize,
    /// The longest a span waits for its batch to fill. Default 100 ms.
    pub interval: Duration,
    /// How often a batch is sent before it is dropped. Default 4.
    pub attempts: u32,
    /// The longest wait for the platform's answer. Default 5 s.
    pub timeout: Duration,
}

impl ExporterConfig {
    /// The defaults for a platform at this URL.
    pub fn new(platform: impl Into<String>) -> Self {
        Self {
            platform: platform.into(),
            token: None,
            queue: 65_536,
            batch: 512,
            interval: Duration::from_millis(100),
            attempts: 4,
            timeout: Duration::from_secs(5),
        }
    }
}

/// What became of the spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExporterFigures {
    /// Taken by the platform.
    pub exported: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped because the platform did not take them.
    pub refused: u64,
}

/// Sends finished spans to the platform. Clones are the same exporter; services of one process may
/// share one.
#[derive(Clone)]
pub struct Exporter(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<SpanData>,
    figures: Arc<Figures>,
    closing: Stop,
    flushed: Stop,
    tasks: Tasks,
}

#[derive(Default)]
struct Figures {
    exported: Counter,
    overflowed: Counter,
    refused: Counter,
}

impl Exporter {
    /// Starts an exporter on the current tokio runtime.
    pub fn start(config: ExporterConfig) -> Self {
        let (queue, spans) = mpsc::channel(config.queue.max(1));
        let tasks = Tasks::new(Stop::new());
        let (closing, flushed) = (Stop::new(), Stop::new());
        let figures = Arc::<Figures>::default();
        let worker = Worker {
            url: format!("{}/v1/traces", config.platform.trim_end_matches('/')),
            http: HttpClient::new(tasks.clone()),
            figures: Arc::clone(&figures),
            closing: closing.clone(),
            rng: Rng::system(),
            token: config.token.as_ref().and_then(bearer),
            config,
        };
        let done = flushed.clone();
        tasks.spawn(TaskKind::Background, "span-exporter", async move {
            worker.run(spans).await;
            done.request();
        });
        Self(Arc::new(Shared {
            queue,
            figures,
            closing,
            flushed,
            tasks,
        }))
    }

    /// What became of the spans so far.
    pub fn figures(&self) -> ExporterFigures {
        let figures = &self.0.figures;
        ExporterFigures {
            exported: figures.exported.get(),
            overflowed: figures.overflowed.get(),
            refused: figures.refused.get(),
        }
    }

    /// Shows what became of the spans among `metrics`.
    pub fn measure(&self, metrics: &Metrics) {
        let figures = &self.0.figures;
        for (name, help, counter) in [
            (
                SPANS_EXPORTED,
                "Spans taken by the platform",
                &figures.exported,
            ),
            (
                SPANS_OVERFLOWED,
                "Spans dropped because the queue was full",
                &figures.overflowed,
            ),
            (
                SPANS_REFUSED,
                "Spans dropped because the platform did not take them",
                &figures.refused,
            ),
        ] {
            metrics.register(name, help, counter.clone());
        }
    }

    /// Sends what is waiting, for at most `deadline`, and ends. Later spans are dropped. Idempotent.
    pub async fn shut_down(&self, deadline: Duration) -> ExporterFigures {
        self.0.closing.request();
        let flushed = tokio::time::timeout(deadline, self.0.flushed.requested()).await;
        if flushed.is_err() {
            tracing::warn!("spans were still waiting for the platform at the deadline");
        }
        // Its connections close at once: nothing is in flight any more, or nobody waits for it.
        let _ = self.0.tasks.shut_down(Duration::ZERO).await;
        self.figures()
    }
}

impl SpanSink for Exporter {
    fn record(&self, span: SpanData) {
        let closed = self.0.closing.is_requested();
        if closed || self.0.queue.try_send(span).is_err() {
            self.0.figures.overflowed.inc();
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exporter").field(&self.figures()).finish()
    }
}

/// Owns the queue's other end.
struct Worker {
    url: String,
    http: HttpClient,
    figures: Arc<Figures>,
    closing: Stop,
    rng: Rng,
    token: Option<HeaderValue>,
    config: ExporterConfig,
}

impl Worker {
    async fn run(self, mut spans: mpsc::Receiver<SpanData>) {
        let mut batch = Vec::with_capacity(self.config.batch);
        while self
            .closing
            .unless_requested(self.fill(&mut spans, &mut batch))
            .await
            .is_some()
        {
            self.send(&mut batch).await;
        }
        // A fill that was interrupted left its spans in the batch.
        spans.close();
        loop {
            while batch.len() < self.config.batch
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(&mut batch).await;
        }
    }

    /// Waits for a first span, then for the batch to fill or its time to pass. Cancel safe.
    async fn fill(&self, spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
        let limit = self.config.batch;
        if batch.is_empty() {
            spans.recv_many(batch, limit).await;
        }
        let due = tokio::time::Instant::now() + self.config.interval;
        while batch.len() < limit {
            let more = spans.recv_many(batch, limit - batch.len());
            if tokio::time::timeout_at(due, more).await.is_err() {
                return;
            }
        }
    }

    async fn send(&self, batch: &mut Vec<SpanData>) {
        let count = batch.len() as u64;
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        for attempt in 1..=self.config.attempts.max(1) {
            match self.post(batch).await {
                Verdict::Taken => {
                    self.figures.exported.inc_by(count);
                    batch.clear();
                    return;
                }
                Verdict::Never => break,
                Verdict::Later => {
                    tokio::time::sleep(backoff.delay(attempt, &self.rng)).await;
                }
            }
        }
        batch.clear();
        if self.figures.refused.inc_by(count) == 0 {
            tracing::warn!(
                url = self.url,
                "the platform takes no spans; they are dropped"
            );
        }
    }

    async fn post(&self, batch: &[SpanData]) -> Verdict {
        let request = ExportRequest::new(batch);
        let Ok(mut request) = json_request(Method::POST, &self.url, &request) else {
            return Verdict::Never;
        };
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let answer = self.http.request(request, self.config.timeout);
        match answer.await.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Verdict::Taken,
            // The statuses that OTLP/HTTP calls retryable.
            Ok(status) if [429, 502, 503, 504].contains(&status.as_u16()) => Verdict::Later,
            Ok(_) => Verdict::Never,
            Err(_) => Verdict::Later,
        }
    }
}

/// The header's value; a token that cannot be one is not sent, and the platform's 401 says so.
fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What the platform made of a batch.
enum Verdict {
    Taken,
    Later,
    Never,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
