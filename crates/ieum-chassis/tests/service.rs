//! A service in its frame, over real loopback sockets.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Router, response::Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use ieum_base::testing::pass;
use ieum_base::trace::{self, SpanData, SpanKind, SpanSink};
use ieum_base::{HumanDuration, Stop, TaskKind, Tasks};
use ieum_chassis::{Chassis, Check, Config, Ended, Identity, Json, OrProblem, problems};
use ieum_discovery::{Registry, Status, memory};
use ieum_http::{HttpClient, Problem};
use serde::Deserialize;
use tokio::sync::{Notify, oneshot};

const SECOND: Duration = Duration::from_secs(1);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Spans {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

impl Spans {
    fn taken(&self) -> Vec<SpanData> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

/// A service under test and a client for it.
struct Running {
    address: SocketAddr,
    client: HttpClient,
    stop: Stop,
    ended: oneshot::Receiver<Ended>,
    tasks: Tasks,
}

fn config() -> Config {
    Config {
        linger: HumanDuration::default(),
        health_cache: HumanDuration::default(),
        ..Config::new("users")
    }
}

fn start(chassis: Chassis) -> Running {
    let bound = chassis.bind().expect("a free port");
    let address = bound.address();
    let (stop, tasks) = (Stop::new(), Tasks::new(Stop::new()));
    let (end, ended) = oneshot::channel();
    let stopping = stop.clone();
    tasks.spawn(TaskKind::Background, "service", async move {
        let _ = end.send(bound.run(stopping).await);
    });
    Running {
        address,
        client: HttpClient::new(tasks.clone()),
        stop,
        ended,
        tasks,
    }
}

impl Running {
    async fn send(&self, request: http::request::Builder, body: &'static str) -> Response<Bytes> {
        let (mut head, ()) = request.body(()).expect("valid").into_parts();
        let url = format!("http://{}{}", self.address, head.uri);
        head.uri = url.parse().expect("a URL");
        let request = Request::from_parts(head, Full::from(body));
        self.client
            .request(request, 5 * SECOND)
            .await
            .expect("answered")
    }

    async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(path), "").await
    }

    async fn stop(self) -> Ended {
        self.stop.request();
        self.ended.await.expect("ended")
    }
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

fn problem(response: &Response<Bytes>) -> (u16, String) {
    assert!(
        ieum_http::problem::is_problem(response.headers()),
        "{response:?}"
    );
    let problem = Problem::from_response(response);
    (
        problem.status,
        problem.code.clone().unwrap_or_default().into_owned(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
}

fn routes() -> Router {
    Router::new()
        .route(
            "/users/{id}",
            get(|Path(id): Path<u32>| async move { format!("user {id}") }),
        )
        .route(
            "/users",
            post(|Json(user): Json<NewUser>| async move { Json(vec![user.name]) }),
        )
        .route("/me", get(|me: Identity| async move { me.user_id }))
        .route(
            "/trace",
            get(|| async { trace::current().expect("a context").to_traceparent() }),
        )
        .route("/panic", get(|| async { panic!("a defect") as () }))
        .route(
            "/broken",
            get(|| async { Err::<(), _>("secret detail").or_internal("reading a user") }),
        )
        .route(
            "/missing",
            get(|| async { Err::<(), _>(problems::not_found("user 7")) }),
        )
        .route("/raw", get(|| async { Result::<()>::Err("plain".into()) }))
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let service = start(Chassis::new(config()).router(routes()));
    for (path, expected) in [
        ("/nowhere", (404, "IEUM-3001")),
        ("/missing", (404, "not-found")),
        ("/users/seven", (400, "IEUM-3003")),
        ("/me", (401, "IEUM-3004")),
        ("/broken", (500, "IEUM-3007")),
        ("/panic", (500, "IEUM-3007")),
    ] {
        let answer = service.get(path).await;
        assert_eq!(
            problem(&answer),
            (expected.0, expected.1.to_owned()),
            "{path}"
        );
        assert!(!text(&answer).contains("secret"), "{path}");
    }
    let answer = service.send(Request::put("/users/7"), "").await;
    assert_eq!(problem(&answer), (405, "IEUM-3002".to_owned()));
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem_that_names_the_place() {
    let service = start(Chassis::new(config()).router(routes()));
    let json = || Request::post("/users").header("content-type", "application/json");
    for (request, body, status, word) in [
        (json(), r#"{"name":"#, 400, "column 8"),
        (
            json(),
            r#"{"name":"a","role":"admin"}"#,
            422,
            "unknown field `role`",
        ),
        (
            Request::post("/users"),
            r#"{"name":"a"}"#,
            415,
            "application/json",
        ),
    ] {
        let answer = service.send(request, body).await;
        assert_eq!(problem(&answer), (status, "IEUM-3003".to_owned()));
        assert!(text(&answer).contains(word), "{}", text(&answer));
    }
    let good = service.send(json(), r#"{"name":"Ada"}"#).await;
    assert_eq!(
        (good.status().as_u16(), text(&good)),
        (200, r#"["Ada"]"#.to_owned())
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let mut config = config();
    config.max_body = ieum_base::ByteSize(8);
    let service = start(Chassis::new(config).router(routes()));
    let request = Request::post("/users").header("content-type", "application/json");
    let answer = service.send(request, r#"{"name":"Ada"}"#).await;
    assert_eq!(problem(&answer).0, 413);
}

#[tokio::test]
async fn a_request_is_a_server_span_under_its_callers_trace() {
    let spans = Spans::default();
    let chassis = Chassis::new(config()).router(routes());
    let service = start(chassis.spans_to(Arc::new(spans.clone())));
    let request = Request::get("/trace").header("traceparent", PARENT);
    let seen = text(&service.send(request, "").await);
    service.get("/users/7?token=x").await;
    service.get("/panic").await;
    service.get("/some/stray/path").await;
    service.get("/health").await;

    let spans = spans.taken();
    let names = spans.iter().map(|span| &*span.name).collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "GET /trace",
            "GET /users/{id}",
            "GET /panic",
            "GET {unmatched}"
        ]
    );
    let first = &spans[0];
    assert_eq!(first.kind, SpanKind::Server);
    assert_eq!(&*first.service, "users");
    assert_eq!(
        first.trace_id.to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(
        first.parent.map(|p| p.to_string()).as_deref(),
        Some("b7ad6b7169203331")
    );
    assert!(seen.contains(&first.span_id.to_string()), "{seen}");
    assert!(spans[2].error.is_some() && spans[3].error.is_none());
    assert!(!format!("{:?}", spans[1]).contains("token"));
}

#[tokio::test]
async fn requests_are_measured_by_the_routes_template() {
    let chassis = Chassis::new(config()).router(routes());
    let orders = prometheus_client::metrics::counter::Counter::<u64>::default();
    chassis
        .metrics()
        .register("orders_placed", "Orders", orders.clone())
        .inc();
    let service = start(chassis);
    service.get("/users/1").await;
    service.get("/users/2").await;
    service.get("/nowhere/1").await;
    let answer = service.get("/metrics").await;
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .expect("text")
            .starts_with("application/openmetrics-text")
    );
    let metrics = text(&answer);
    for line in [
        r#"api_requests_total{method="GET",path="/users/{id}",status_code="200"} 2"#,
        r#"api_errors_total{method="GET",path="{unmatched}",status_code="404"} 1"#,
        r#"api_response_time_count{method="GET",path="/users/{id}",status_code="200"} 2"#,
        "orders_placed_total 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("/users/1"), "{metrics}");
}

#[tokio::test]
async fn health_names_the_failed_check() {
    let gone = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&gone);
    let chassis = Chassis::new(config()).health("database", move || {
        let gone = state.load(Ordering::SeqCst);
        async move { if gone { Err("no such file") } else { Ok(()) } }
    });
    let service = start(chassis);
    let well = service.get("/health").await;
    assert_eq!(well.status(), 200);
    assert_eq!(
        text(&well),
        r#"{"status":"healthy","checks":{"database":{"status":"ok"}}}"#
    );
    gone.store(true, Ordering::SeqCst);
    let ill = service.get("/health").await;
    assert_eq!(ill.status(), 503);
    assert_eq!(
        text(&ill),
        r#"{"status":"degraded","checks":{"database":{"status":"failed","error":"no such file"}}}"#
    );
}

#[tokio::test]
async fn the_request_id_comes_back() {
    let service = start(Chassis::new(config()).router(routes()));
    let request = Request::get("/users/1").header("x-request-id", "ticket-17");
    assert_eq!(
        service.send(request, "").await.headers()["x-request-id"],
        "ticket-17"
    );
    assert_eq!(
        service.get("/users/1").await.headers()["x-request-id"].len(),
        36
    );
}

#[tokio::test]
async fn a_service_that_starts_ill_is_registered_as_ill() {
    let registry = Arc::new(memory::Registry::new());
    let chassis = Chassis::new(config()).registry(registry.clone());
    let _service = start(chassis.health("database", || async { Err("no such file") }));
    registry
        .watch("users", 1, 5 * SECOND)
        .await
        .expect("answers");
    assert_eq!(registered(&registry).await[0].status(), Status::Critical);
}

async fn registered(registry: &memory::Registry) -> Vec<ieum_discovery::Registered> {
    registry
        .watch("users", 0, Duration::ZERO)
        .await
        .expect("answers")
        .instances
}

#[tokio::test]
async fn it_is_registered_while_it_serves() {
    let registry = Arc::new(memory::Registry::new());
    let mut config = config();
    config.owner = Some("team-accounts".into());
    let chassis = Chassis::new(config).registry(registry.clone());
    let service = start(chassis);
    let index = registry
        .watch("users", 1, 5 * SECOND)
        .await
        .expect("answers")
        .index;
    let found = registered(&registry).await;
    let instance = &found[0].instance;
    assert_eq!(instance.authority(), service.address.to_string());
    assert_eq!(instance.meta["owner"], "team-accounts");
    assert_eq!(found[0].status(), Status::Passing);
    assert!(index > 0);
    assert_eq!(service.stop().await, Ended::default());
    assert!(registered(&registry).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_reports_its_health_by_itself_where_the_registry_cannot_ask() {
    let registry = Arc::new(memory::Registry::new());
    let well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&well);
    let mut config = config();
    config.check = Check::Ttl {
        ttl: HumanDuration::from_secs(3),
    };
    let chassis = Chassis::new(config)
        .registry(registry.clone())
        .health("database", move || {
            let well = state.load(Ordering::SeqCst);
            async move { if well { Ok(()) } else { Err("away") } }
        });
    let _service = start(chassis);
    let status = |registry: Arc<memory::Registry>| async move {
        registered(&registry)
            .await
            .first()
            .map(|r| (r.status(), r.checks[0].output.clone()))
    };
    pass(SECOND / 2).await;
    assert_eq!(
        status(registry.clone()).await.map(|s| s.0),
        Some(Status::Passing)
    );
    well.store(false, Ordering::SeqCst);
    pass(SECOND * 3 / 2).await;
    let expected = (Status::Critical, "database: away".to_owned());
    assert_eq!(status(registry.clone()).await, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_the_registry_forgot_registers_again() {
    let registry = Arc::new(memory::Registry::new());
    let _service = start(Chassis::new(config()).registry(registry.clone()));
    pass(SECOND).await;
    let id = registered(&registry).await[0].instance.id.clone();
    registry.deregister(&id).await.expect("known");
    pass(11 * SECOND).await;
    assert_eq!(registered(&registry).await.len(), 1);
}

#[tokio::test]
async fn at_the_stop_the_running_request_and_the_background_work_finish_in_this_order() {
    let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let history = Arc::new(Mutex::new(Vec::new()));
    let registry = Arc::new(memory::Registry::new());
    let chassis = Chassis::new(config()).registry(registry.clone());
    let (tasks, log) = (chassis.tasks().clone(), Arc::clone(&history));
    tasks.spawn(TaskKind::Background, "relay", {
        let stop = tasks.stop().clone();
        async move {
            stop.requested().await;
            log.lock().expect("not poisoned").push("relay ended");
        }
    });
    let (enter, wait, log) = (
        Arc::clone(&entered),
        Arc::clone(&gate),
        Arc::clone(&history),
    );
    let slow = move || {
        let (enter, wait, log) = (Arc::clone(&enter), Arc::clone(&wait), Arc::clone(&log));
        async move {
            enter.notify_one();
            wait.notified().await;
            log.lock().expect("not poisoned").push("request answered");
            "done"
        }
    };
    let service = start(chassis.router(Router::new().route("/slow", get(slow))));
    let (client, url) = (
        service.client.clone(),
        format!("http://{}/slow", service.address),
    );
    let (answer, answered) = oneshot::channel();
    service
        .tasks
        .spawn(TaskKind::Background, "request", async move {
            let _ = answer.send(client.get(&url, 5 * SECOND).await);
        });
    entered.notified().await;
    registry
        .watch("users", 1, 5 * SECOND)
        .await
        .expect("registered");

    service.stop.request();
    // Red and deregistered before anything is cut off.
    while !registered(&registry).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(history.lock().expect("not poisoned").is_empty());
    gate.notify_one();
    let answer = answered.await.expect("sent").expect("answered");
    assert_eq!(text(&answer), "done");
    assert_eq!(service.ended.await.expect("ended"), Ended::default());
    assert_eq!(
        *history.lock().expect("not poisoned"),
        ["request answered", "relay ended"]
    );
}

#[tokio::test]
async fn the_end_of_an_essential_task_stops_the_service() {
    let chassis = Chassis::new(config());
    chassis
        .tasks()
        .spawn(TaskKind::Essential, "writer", async {});
    let service = start(chassis);
    assert_eq!(service.ended.await.expect("ended"), Ended::default());
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_what_to_do() {
    let first = start(Chassis::new(config()));
    let mut config = config();
    config.listen = first.address;
    let error = Chassis::new(config.clone())
        .run(Stop::new())
        .await
        .expect_err("taken");
    assert!(error.to_string().contains("is in use"), "{error}");
    config.next_free_port = true;
    let moved = start(Chassis::new(config));
    assert_ne!(moved.address, first.address);
}
