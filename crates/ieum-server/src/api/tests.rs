//! The API as its callers meet it: over a socket, by the adapters that services use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use ieum_base::{Clock, EngineUrl, Stop, TaskKind, Tasks, Uuid};
use ieum_discovery::Registry;
use ieum_eventstore::{Append, Expect, NewEvent, Position, StreamName};
use ieum_http::{HttpClient, listener, server};
use ieum_messaging::Message;
use ieum_remote::wire::overview::About;
use ieum_remote::wire::traces::ListTraces;
use ieum_sql::sqlite::{Config, Location, Log as SqliteLog, topics};
use serde_json::{Value, json};

use super::{Catalogue, Guard, Live, Log, Parts, Topics, Vitals, router, routes};
use crate::live::{Board, Glance, Hub, MapLimits, ServiceMap, Sources};
use crate::traces::{Limits, LogLimits, Store};

/// A running API over everything in memory.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    http: HttpClient,
    pub(super) tasks: Tasks,
    pub(super) registry: Arc<dyn Registry>,
    /// Makes the check of the log fail.
    broken: Arc<AtomicBool>,
}

const MAX_BODY: usize = 64 << 10;

const LIMITS: Limits = Limits {
    traces: 10,
    bytes: 1 << 20,
    spans: 100,
    logs: LogLimits {
        lines: 100,
        bytes: 1 << 20,
        of_trace: 10,
    },
};

impl Api {
    pub(super) fn start() -> Self {
        let tasks = Tasks::new(Stop::new());
        let broken = Arc::<AtomicBool>::default();
        let parts = parts(&tasks, &broken);
        let registry = Arc::clone(&parts.catalogue.registry);
        let router = router(parts);
        let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, tree) = (tasks.stop().clone(), tasks.clone());
        tasks.spawn(TaskKind::Background, "api", async move {
            server::serve(listener, router, server::Config::default(), stop, &tree).await;
        });
        Self {
            address,
            http: HttpClient::new(tasks.clone()),
            tasks,
            registry,
            broken,
        }
    }

    pub(super) fn remote(&self) -> ieum_remote::Platform {
        let url: EngineUrl = format!("ieum://{}", self.address).parse().expect("a URL");
        ieum_remote::connect(&url, &self.tasks).expect("a platform's URL")
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let url = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let answer = self.http.request(request, Duration::from_secs(10)).await;
        answer.expect("an answer")
    }

    pub(super) async fn json(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let json = [("content-type", "application/json")];
        let answer = self.call(method, path, &json, body.to_string()).await;
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), body)
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.json(Method::GET, path, &Value::Null).await
    }
}

fn parts(tasks: &Tasks, broken: &Arc<AtomicBool>) -> Parts {
    let log = SqliteLog::open(Location::Memory, Config::default()).expect("in memory");
    let topics = topics::Topics::new(log.clone(), topics::Config::default());
    let registry: Arc<dyn Registry> = Arc::new(ieum_discovery::memory::Registry::new());
    let broken = Arc::clone(broken);
    let check: super::Check = Arc::new(move || {
        let broken = broken.load(Ordering::Relaxed);
        let result = if broken {
            Err("the file is gone".to_owned())
        } else {
            Ok(())
        };
        std::future::ready(result).boxed()
    });
    let map = ServiceMap::new(Clock::system(), MapLimits::default());
    let traces = Store::new(LIMITS).counted_by(map.clone());
    let breakers = Board::new(Clock::system(), None);
    let glance = Glance::new(Sources {
        about: About::default(),
        clock: Clock::system(),
        map,
        registry: Arc::clone(&registry),
        routes: Arc::new(Vec::new),
        sagas: None,
        log: Arc::new(log.clone()),
        topics: Arc::new(topics.clone()),
        traces: traces.clone(),
        breakers: breakers.clone(),
    });
    let hub = Hub::start(glance.clone(), Clock::system(), tasks);
    Parts {
        live: Some(Live { glance, hub }),
        breakers,
        guard: Guard::new(None, &[]),
        max_body: MAX_BODY,
        log: Some(Log {
            store: Arc::new(log.clone()),
            checkpoints: Arc::new(log.clone()),
            fences: Arc::new(log),
            stop: tasks.stop().clone(),
        }),
        topics: Some(Topics {
            publisher: Arc::new(topics.clone()),
            groups: Arc::new(topics.clone()),
            limits: ieum_messaging::Limits::default(),
            operate: Arc::new(topics.clone()),
            inspect: Arc::new(topics),
            stop: tasks.stop().clone(),
        }),
        traces: Some(traces),
        catalogue: Catalogue {
            registry,
            routes: Arc::new(|| vec![json!({"name": "users"})]),
        },
        company: None,
        vitals: Vitals {
            checks: Arc::new(BTreeMap::from([("log", check)])),
            remarks: Arc::default(),
            retired: Stop::new(),
            metrics: Arc::new(|| std::future::ready("# EOF\n".to_owned()).boxed()),
        },
        more: Vec::new(),
        consul: None,
        absent: Vec::new(),
    }
}

fn event(kind: &str) -> NewEvent {
    NewEvent::new(Clock::system().new_id(), kind, &json!({"total": 200})).expect("json")
}

#[tokio::test]
async fn an_append_is_answered_as_the_first_time_when_it_is_repeated() {
    let api = Api::start();
    let id = Uuid::from_u128(7);
    let body = json!({"expect": "noStream", "events": [{"id": id, "type": "placed", "data": 1}]});
    let path = "/api/v1/log/streams/order-1";
    let (status, first) = api.json(Method::POST, path, &body).await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = api.json(Method::POST, path, &body).await;
    assert_eq!((status, &again["position"]), (200, &first["position"]));
    let (status, page) = api.get(path).await;
    assert_eq!(
        (status, &page["events"][0]["type"]),
        (200, &json!("placed"))
    );
}

#[tokio::test]
async fn a_lost_race_names_the_actual_version() {
    let api = Api::start();
    let log = api.remote().event_store();
    let stream: StreamName = "order-1".parse().expect("valid");
    let append = |expect| Append::to(stream.clone(), expect, vec![event("placed")]);
    log.append(append(Expect::NoStream)).await.expect("appends");
    let error = log
        .append(append(Expect::NoStream))
        .await
        .expect_err("a conflict");
    let kind = ieum_eventstore::ErrorKind::Conflict {
        stream: stream.clone(),
        actual: ieum_eventstore::Version(1),
    };
    assert_eq!(error.kind(), &kind);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_an_append() {
    let api = Api::start();
    let log = api.remote().event_store();
    let writer = api.remote().event_store();
    let waiting = log.wait(Position::START, Duration::from_secs(30));
    let appending = async {
        let stream = "order-1".parse().expect("valid");
        let append = Append::to(stream, Expect::Any, vec![event("placed")]);
        writer.append(append).await.expect("appends")
    };
    let (head, _) = tokio::join!(waiting, appending);
    assert!(head.expect("a head").position >= Position(1));
}

#[tokio::test]
async fn a_wait_ends_when_the_platform_stops() {
    let api = Api::start();
    let waiting = api.get("/api/v1/log?wait=60s");
    let stopping = async {
        while api.tasks.len() < 4 {
            tokio::task::yield_now().await;
        }
        api.tasks.stop().request();
    };
    let ((status, page), ()) = tokio::join!(waiting, stopping);
    assert_eq!((status, &page["events"]), (200, &json!([])));
}

#[tokio::test]
async fn a_group_gets_what_was_published_until_it_acknowledges() {
    let api = Api::start();
    let remote = api.remote();
    let message = Message::new("/orders", "1", "order.placed", &json!({"total": 200}));
    let message = message.expect("valid");
    let publisher = remote.publisher();
    publisher
        .publish("order.events", &[message])
        .await
        .expect("publishes");
    let groups = remote.groups();
    let epoch = groups
        .join("order.events", "billing", "a")
        .await
        .expect("joins");
    for _ in 0..2 {
        let pulled = groups
            .pull("order.events", "billing", epoch, 10, Duration::ZERO)
            .await;
        let pulled = pulled.expect("pulls");
        assert_eq!(pulled[0].message.kind, "order.placed");
    }
    let pulled = groups
        .pull("order.events", "billing", epoch, 10, Duration::ZERO)
        .await;
    let position = pulled.expect("pulls")[0].position;
    groups
        .ack("order.events", "billing", epoch, position)
        .await
        .expect("acknowledges");
    let states = remote.inspect().groups().await.expect("lists");
    assert_eq!((states[0].group.as_str(), states[0].lag), ("billing", 0));
}

#[tokio::test]
async fn an_operator_lets_dead_letters_be_handled_again_or_gives_them_up() {
    let api = Api::start();
    let remote = api.remote();
    let group = "/api/v1/topics/order.events/groups/billing";
    for (id, verb, lag) in [("1", "replay", 1), ("2", "skip", 0)] {
        let placed = Message::new("/orders", id, "order.placed", &json!({}));
        let placed = placed.expect("json").with_key(id);
        let published = remote.publisher().publish("order.events", &[placed]).await;
        published.expect("publishes");
        let post = async |verb: &str, body: Value| {
            let path = format!("{group}/{verb}");
            api.json(Method::POST, &path, &body).await
        };
        let (_, joined) = post("join", json!({"member": "billing-1"})).await;
        let epoch = &joined["epoch"];
        let (_, pulled) = post("pull", json!({"epoch": epoch, "max": 9})).await;
        let last = pulled["deliveries"].as_array().and_then(|d| d.last());
        let position = &last.expect("a message")["position"];
        let give_up = json!({"epoch": epoch, "position": position, "reason": "no such order"});
        assert_eq!(post("dead-letters", give_up).await.0, 204);
        let told = post(&format!("dead-letters/{verb}"), json!({"key": id})).await;
        assert_eq!(told, (200, json!({"messages": 1})));
        let (_, groups) = api.get("/api/v1/groups").await;
        assert_eq!(groups["groups"][0]["lag"], json!(lag));
        assert_eq!(groups["groups"][0]["deadLetters"], json!(0));
    }
}

#[tokio::test]
async fn spans_that_were_exported_are_found_by_the_order_they_are_about() {
    let api = Api::start();
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",
        "name": "POST /orders", "kind": 2, "startTimeUnixNano": "1000", "endTimeUnixNano": "2000",
        "attributes": [{"key": "order.id", "value": {"stringValue": "o-1"}}]});
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]},
        "scopeSpans": [{"spans": [span]}]}]});
    assert_eq!(
        api.json(Method::POST, "/v1/traces", &request).await,
        (200, json!({}))
    );
    let trace = api.remote().trace("o-1").await.expect("indexed");
    assert_eq!(&*trace.spans[0].service, "orders");
    let traces = api.remote().traces(&ListTraces::default()).await;
    assert_eq!(traces.expect("lists").len(), 1);
    assert_eq!(api.get("/api/v1/traces/o-2").await.1["code"], "IEUM-5009");
}

#[tokio::test]
async fn metrics_and_logs_are_checked_and_the_answer_says_that_they_are_not_kept() {
    let api = Api::start();
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]}]});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"body": {"stringValue": "hello"}}]}]}]});
    for (path, request, count) in [
        ("/v1/metrics", metrics, "rejectedDataPoints"),
        ("/v1/logs", logs, "rejectedLogRecords"),
    ] {
        let (status, answer) = api.json(Method::POST, path, &request).await;
        let partial = &answer["partialSuccess"];
        assert_eq!((status, &partial[count]), (200, &json!("0")), "{answer}");
        assert!(
            partial["errorMessage"]
                .as_str()
                .is_some_and(|m| m.contains("not kept"))
        );
        assert_eq!(
            api.json(Method::POST, path, &json!({})).await,
            (200, json!({}))
        );
        let broken = json!({"resourceLogs": 1, "resourceMetrics": 1});
        assert_eq!(api.json(Method::POST, path, &broken).await.0, 400, "{path}");
    }
}

/// A request line, a header, a body; the status and the code that answer them.
const REFUSED: &[(&str, &str, &str, u16, &str)] = &[
    ("GET /nowhere", "", "", 404, "IEUM-5001"),
    ("PUT /api/v1/log", "", "", 405, "IEUM-5002"),
    ("POST /api/v1/log", JSON, "{", 400, "IEUM-5003"),
    ("POST /api/v1/log", JSON, "{\"write\":1}", 400, "IEUM-5003"),
    (
        "GET /api/v1/log",
        "host: evil.example",
        "",
        403,
        "IEUM-5006",
    ),
    (
        "GET /api/v1/log",
        "origin: http://evil",
        "",
        403,
        "IEUM-5007",
    ),
    ("GET /api/v1/errors/IEUM-9999", "", "", 404, "IEUM-5009"),
    ("GET /api/v1/log?wait=30", "", "", 400, "IEUM-5010"),
    ("GET /api/v1/log?limit=0", "", "", 400, "IEUM-5010"),
    ("GET /api/v1/log?wat=30s", "", "", 400, "IEUM-5010"),
    ("GET /api/v1/log/streams/order", "", "", 400, "IEUM-5010"),
    ("POST /api/v1/log", "", "{}", 415, "IEUM-5013"),
    ("POST /api/v1/topics/t", JSON, "{}", 415, "IEUM-5013"),
    (
        "POST /v1/traces",
        "content-type: text/plain",
        "",
        415,
        "IEUM-5013",
    ),
    ("POST /v1/traces", JSON, "[]", 400, "IEUM-5003"),
    (
        "POST /v1/logs",
        JSON,
        "{\"resourceLogs\":7}",
        400,
        "IEUM-5003",
    ),
];

const JSON: &str = "content-type: application/json";

async fn check_refused(api: &Api, line: &str, header: &str, body: &str, expected: (u16, &str)) {
    let (method, path) = line.split_once(' ').expect("a request line");
    let method = method.parse().expect("a method");
    let headers: Vec<_> = header.split_once(": ").into_iter().collect();
    let answer = api.call(method, path, &headers, body.to_owned()).await;
    let problem = ieum_http::Problem::from_response(&answer);
    let code = problem.code.as_deref().unwrap_or_default();
    assert_eq!(
        (problem.status, code),
        expected,
        "{line} {header} {problem}"
    );
    assert!(ieum_http::problem::is_problem(answer.headers()), "{line}");
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_code() {
    let api = Api::start();
    for (line, header, body, status, code) in REFUSED {
        check_refused(&api, line, header, body, (*status, code)).await;
    }
    let large = "x".repeat(MAX_BODY + 1);
    check_refused(&api, "POST /api/v1/log", JSON, &large, (413, "IEUM-5004")).await;
}

#[tokio::test]
async fn an_error_code_is_explained() {
    let api = Api::start();
    let answer = api
        .call(Method::GET, "/api/v1/errors/ieum-2001", &[], "")
        .await;
    let page = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(page.starts_with("# IEUM-2001: Version conflict"), "{page}");
    assert_eq!(
        answer.headers()[header::CONTENT_TYPE],
        "text/markdown; charset=utf-8"
    );
}

#[tokio::test]
async fn health_names_the_check_that_failed() {
    let api = Api::start();
    let (status, health) = api.get("/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("healthy")));
    api.broken.store(true, Ordering::Relaxed);
    let (status, health) = api.get("/health").await;
    assert_eq!((status, &health["status"]), (503, &json!("degraded")));
    assert_eq!(health["checks"]["log"]["error"], "the file is gone");
}

#[tokio::test]
async fn every_route_of_the_description_is_mounted() {
    let api = Api::start();
    let (_, document) = api.get("/api/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 15, "{}", paths.len());
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        let concrete: Vec<_> = path
            .split('/')
            .map(|part| part.trim_start_matches('{'))
            .collect();
        let concrete = concrete.join("/").replace('}', "-1");
        for (method, operation) in item.as_object().expect("operations") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            // That one has no end to wait for, and tests of its own.
            if path != ieum_remote::wire::paths::LIVE {
                let answer = api.call(method.clone(), &concrete, &[], "").await;
                let problem = ieum_http::Problem::from_response(&answer);
                let unknown =
                    ["IEUM-5001", "IEUM-5002"].contains(&problem.code.as_deref().unwrap_or(""));
                assert!(!unknown, "{method} {path} is described, but not mounted");
            }
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} is not unique");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{id}"
            );
        }
    }
}

#[tokio::test]
async fn every_schema_that_is_referred_to_is_described() {
    let api = Api::start();
    let (_, document) = api.get("/api/openapi.json").await;
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let text = document.to_string();
    let used: BTreeSet<_> = text
        .split("#/components/schemas/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for name in used {
        assert!(schemas.contains_key(name), "the schema {name} is missing");
    }
}

#[test]
fn path_parameters_are_found() {
    let operation = routes::Operation::get("/a/{b}/c/{d}", "x");
    assert_eq!(operation.path_parameters().collect::<Vec<_>>(), ["b", "d"]);
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_by_the_table() {
    use crate::errors::{SERVER_HEAD_TOO_LARGE, SERVER_NOT_A_REQUEST};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = Api::start();
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(17 << 10));
    for (bytes, row) in [
        ("GET / HTTP/1.1\nhost: a\n\n", SERVER_NOT_A_REQUEST),
        (large.as_str(), SERVER_HEAD_TOO_LARGE),
    ] {
        let mut stream = tokio::net::TcpStream::connect(api.address)
            .await
            .expect("up");
        stream.write_all(bytes.as_bytes()).await.expect("connected");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.starts_with(&format!("HTTP/1.1 {} ", row.status)),
            "{head}"
        );
        let problem: Value = serde_json::from_str(body).expect("problem details");
        assert_eq!(
            (&problem["code"], &problem["title"]),
            (&json!(row.code), &json!(row.title))
        );
    }
}
