//! Spans to a platform and to a collector, over real loopback sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use ieum_base::trace::{SpanSink, Tracer};
use ieum_base::{Clock, Stop, TaskKind, Tasks};
use ieum_http::{listener, server};
use ieum_telemetry::otlp::{Config, Exporter, Figures, Settings};
use ieum_telemetry::proto::TracesRequest;
use prost::Message;

const SECOND: Duration = Duration::from_secs(1);

/// Takes batches; answers with the next of `answers`, then with 200.
#[derive(Clone, Default)]
struct Platform {
    batches: Arc<Mutex<Vec<TracesRequest>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

impl Platform {
    fn start(&self) -> (SocketAddr, Tasks) {
        let take = |State(platform): State<Platform>, body: Bytes| async move {
            assert!(ieum_base::trace::current().is_none());
            let answer = platform.answers.lock().expect("not poisoned").pop();
            let answer = answer.unwrap_or(StatusCode::OK);
            if answer.is_success() {
                platform
                    .batches
                    .lock()
                    .expect("not poisoned")
                    .push(TracesRequest::decode(body).expect("OTLP"));
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
        let count = |batch: &TracesRequest| batch.resource_spans[0].scope_spans[0].spans.len();
        batches.iter().map(count).collect()
    }
}

/// Exports to the platform at this URL.
fn exporter(platform: String) -> Exporter {
    let mut config = Config::new("users");
    config.platform = Some(platform);
    Exporter::start(&config).expect("it has a destination")
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
    let exporter = exporter(format!("http://{address}/"));
    record(&exporter, 1300);
    let figures = exporter.shut_down(5 * SECOND).await;
    assert_eq!(
        figures,
        Figures {
            exported: 1300,
            ..Figures::default()
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
    let exporter = exporter(format!("http://{address}"));
    record(&exporter, 3);
    assert_eq!(exporter.shut_down(5 * SECOND).await.exported, 3);
}

#[tokio::test]
async fn what_the_platform_refuses_is_dropped_and_counted() {
    let platform = Platform::default();
    *platform.answers.lock().expect("not poisoned") = vec![StatusCode::BAD_REQUEST];
    let (address, _tasks) = platform.start();
    let exporter = exporter(format!("http://{address}"));
    record(&exporter, 3);
    assert_eq!(exporter.shut_down(5 * SECOND).await.refused, 3);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_never_waits() {
    let mut config = Config::new("users");
    config.platform = Some("http://127.0.0.1:1".to_owned());
    config.platform_queue.items = 8;
    let exporter = Exporter::start(&config).expect("it has a destination");
    record(&exporter, 20);
    assert_eq!(exporter.figures().overflowed, 12);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_costs_the_spans_and_not_the_stop() {
    let exporter = exporter("http://127.0.0.1:1".to_owned());
    record(&exporter, 3);
    let before = tokio::time::Instant::now();
    exporter.shut_down(5 * SECOND).await;
    assert!(before.elapsed() <= 6 * SECOND);
}

#[tokio::test]
async fn a_collector_gets_the_same_spans_as_the_platform() {
    let (platform, collector) = (Platform::default(), Platform::default());
    let (to_platform, _tasks) = platform.start();
    let (to_collector, _tasks) = collector.start();
    let mut config = Config::new("users");
    config.platform = Some(format!("http://{to_platform}"));
    config.settings = Settings::read(|name| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(format!("http://{to_collector}/v1/traces")),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("team=shop".to_owned()),
        _ => None,
    });
    let exporter = Exporter::start(&config).expect("it has destinations");
    record(&exporter, 3);
    assert_eq!(exporter.shut_down(5 * SECOND).await.exported, 6);
    let sent = |place: &Platform| place.batches.lock().expect("not poisoned").clone();
    assert_eq!(sent(&platform), sent(&collector));
    let resource = sent(&collector)[0].resource_spans[0].resource.clone();
    let resource = resource.expect("a resource");
    assert_eq!(resource.text("service.name"), Some("users"));
    assert_eq!(resource.text("team"), Some("shop"));
}

#[tokio::test]
async fn nothing_is_started_where_nothing_is_asked_for_or_all_is_switched_off() {
    assert!(Exporter::start(&Config::new("users")).is_none());
    let mut config = Config::new("users");
    config.platform = Some("http://127.0.0.1:1".to_owned());
    config.settings.disabled = true;
    assert!(Exporter::start(&config).is_none());
}
