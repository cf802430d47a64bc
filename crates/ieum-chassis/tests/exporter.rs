//! Spans to a platform, over real loopback sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use ieum_base::trace::{SpanSink, Tracer};
use ieum_base::{Clock, Stop, TaskKind, Tasks};
use ieum_chassis::Metrics;
use ieum_chassis::telemetry::{Exporter, ExporterConfig, ExporterFigures};
use ieum_http::{listener, server};
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

/// Takes batches; answers with the next of `answers`, then with 200.
#[derive(Clone, Default)]
struct Platform {
    batches: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

impl Platform {
    fn start(&self) -> (SocketAddr, Tasks) {
        let take = |State(platform): State<Platform>, Json(batch): Json<Value>| async move {
            assert!(ieum_base::trace::current().is_none());
            let answer = platform.answers.lock().expect("not poisoned").pop();
            let answer = answer.unwrap_or(StatusCode::OK);
            if answer.is_success() {
                platform.batches.lock().expect("not poisoned").push(batch);
            }
            answer
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(self.clone());
        let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let tasks = Tasks::new(Stop::new());
        let connections = tasks.clone();
        tasks.spawn(TaskKind::Background, "platform", async move {
            let (config, stop) = (server::Config::default(), connections.stop().clone());
            server::serve(listener, router, config, stop, &connections).await;
        });
        (address, tasks)
    }

    fn spans(&self) -> Vec<usize> {
        let batches = self.batches.lock().expect("not poisoned");
        let count = |batch: &Value| {
            let spans = &batch["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.as_array().map_or(0, Vec::len)
        };
        batches.iter().map(count).collect()
    }
}

fn record(exporter: &Exporter, count: usize) {
    let sink: Arc<dyn SpanSink> = Arc::new(exporter.clone());
    let tracer = Tracer::new("users", sink, Clock::system());
    for _ in 0..count {
        drop(tracer.span("work").start());
    }
}

#[tokio::test]
async fn spans_arrive_in_batches_and_the_rest_is_flushed_at_the_end() {
    let platform = Platform::default();
    let (address, _tasks) = platform.start();
    let exporter = Exporter::start(ExporterConfig::new(format!("http://{address}/")));
    record(&exporter, 1300);
    let figures = exporter.shut_down(5 * SECOND).await;
    assert_eq!(
        figures,
        ExporterFigures {
            exported: 1300,
            ..ExporterFigures::default()
        }
    );
    assert_eq!(platform.spans(), [512, 512, 276]);
    record(&exporter, 1);
    assert_eq!(exporter.shut_down(SECOND).await.overflowed, 1);
}

#[tokio::test]
async fn a_platform_that_is_busy_is_asked_again() {
    let platform = Platform::default();
    *platform.answers.lock().expect("not poisoned") = vec![StatusCode::SERVICE_UNAVAILABLE; 2];
    let (address, _tasks) = platform.start();
    let exporter = Exporter::start(ExporterConfig::new(format!("http://{address}")));
    record(&exporter, 3);
    assert_eq!(exporter.shut_down(5 * SECOND).await.exported, 3);
}

#[tokio::test]
async fn what_the_platform_refuses_is_dropped_and_counted() {
    let platform = Platform::default();
    *platform.answers.lock().expect("not poisoned") = vec![StatusCode::BAD_REQUEST];
    let (address, _tasks) = platform.start();
    let exporter = Exporter::start(ExporterConfig::new(format!("http://{address}")));
    record(&exporter, 3);
    assert_eq!(exporter.shut_down(5 * SECOND).await.refused, 3);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_never_waits() {
    let mut config = ExporterConfig::new("http://127.0.0.1:1");
    config.queue = 8;
    let exporter = Exporter::start(config);
    let metrics = Metrics::new();
    exporter.measure(&metrics);
    record(&exporter, 20);
    assert_eq!(exporter.figures().overflowed, 12);
    assert!(metrics.encode().contains("ieum_spans_overflowed_total 12"));
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_costs_the_spans_and_not_the_stop() {
    let exporter = Exporter::start(ExporterConfig::new("http://127.0.0.1:1"));
    record(&exporter, 3);
    let before = tokio::time::Instant::now();
    exporter.shut_down(5 * SECOND).await;
    assert!(before.elapsed() <= 6 * SECOND);
}
