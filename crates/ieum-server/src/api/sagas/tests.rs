//! Sagas as their users meet them: defined, started and watched over HTTP, with participants that
//! are called over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use ieum_base::trace::{TraceContext, Tracer};
use ieum_base::{ByteSize, Clock, Deadline, Rng, Stop, TaskKind, Tasks};
use ieum_discovery::{Instance, InstanceId, Resolver, static_};
use ieum_eventstore::memory;
use ieum_http::{listener, server};
use ieum_saga::definition::Method;
use ieum_saga::port::{Call, CallResult, Participants as _};
use ieum_saga::{Config, Deps, Service};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::participants::Participants;

/// A service that answers each path as it is told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Shop(Arc<Mutex<Vec<(String, http::HeaderMap)>>>);

impl Shop {
    fn serve(&self, tasks: &Tasks) -> SocketAddr {
        let shop = self.clone();
        let router = Router::new()
            .fallback(move |request: Request| async move { shop.answer(request).await });
        let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, tree) = (tasks.stop().clone(), tasks.clone());
        tasks.spawn(TaskKind::Background, "shop", async move {
            server::serve(listener, router, server::Config::default(), stop, &tree).await;
        });
        address
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let asked = (path.clone(), request.headers().clone());
        self.0.lock().expect("not poisoned").push(asked);
        match path.as_str() {
            "/never" => std::future::pending().await,
            "/large" => "x".repeat(5_000).into_response(),
            "/larger" => "x".repeat(2 << 20).into_response(),
            "/declined" => {
                let problem = json!({"code": "payment-declined", "detail": "no funds"});
                (http::StatusCode::UNPROCESSABLE_ENTITY, axum::Json(problem)).into_response()
            }
            _ => axum::Json(json!({"done": path})).into_response(),
        }
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.0.lock().expect("not poisoned");
        asked.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn instance(service: &str, port: u16) -> Instance {
    Instance {
        id: InstanceId(format!("{service}-1")),
        service: service.to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        tags: Vec::new(),
        meta: std::collections::BTreeMap::new(),
        weight: 1,
    }
}

fn participants(shop: &Shop, tasks: &Tasks) -> Participants {
    let address = shop.serve(tasks);
    // A port that was just free: nobody listens there.
    let free = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let closed = free.local_addr().expect("bound").port();
    drop(free);
    let instances = [instance("shop", address.port()), instance("closed", closed)];
    let registry = Arc::new(static_::Registry::new(instances));
    let resolver = Resolver::new(registry, tasks.clone());
    Participants::new(
        resolver,
        ByteSize(1 << 20),
        Tracer::off("ieum"),
        tasks.clone(),
    )
}

fn call(service: &str, path: &str, timeout: Duration) -> Call {
    Call {
        service: service.to_owned(),
        method: Method::Post,
        path: path.to_owned(),
        headers: vec![("idempotency-key", "s/charge/1".to_owned())],
        body: Some(json!({"amount": 200})),
        deadline: Deadline::after(timeout),
        trace: Some(TraceContext::root(&Rng::seeded(4), true)),
        max_answer: 1_000,
    }
}

#[tokio::test]
async fn a_participant_is_called_once_and_what_is_unknown_is_told_from_what_was_not_sent() {
    let tasks = Tasks::new(Stop::new());
    let shop = Shop::default();
    let participants = participants(&shop, &tasks);
    let second = Duration::from_secs(1);

    let answered = participants.call(call("shop", "/charge", second)).await;
    let CallResult::Answered(answer) = answered else {
        panic!("{answered:?}")
    };
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let unknown = participants.call(call("shop", "/never", second / 5)).await;
    assert!(matches!(unknown, CallResult::Unknown { .. }), "{unknown:?}");
    let large = participants.call(call("shop", "/large", second)).await;
    assert!(matches!(large, CallResult::TooLarge { .. }), "{large:?}");
    let larger = participants.call(call("shop", "/larger", second)).await;
    assert!(matches!(larger, CallResult::TooLarge { .. }), "{larger:?}");
    for nobody in ["closed", "nowhere"] {
        let not_sent = participants.call(call(nobody, "/charge", second / 5)).await;
        assert!(
            matches!(not_sent, CallResult::NotSent { .. }),
            "{not_sent:?}"
        );
    }
    assert_eq!(shop.paths(), ["/charge", "/never", "/large", "/larger"]);
    let asked = shop.0.lock().expect("not poisoned").clone();
    assert_eq!(asked[0].1["idempotency-key"], "s/charge/1");
    let sent = asked[0].1["traceparent"].to_str().expect("text");
    let trace = TraceContext::root(&Rng::seeded(4), true);
    assert!(sent.contains(&trace.trace_id.to_string()), "{sent}");
    tasks.shut_down(second).await;
}

/// The API of an engine, without a socket.
struct Api {
    router: Router,
    handle: ieum_saga::Handle,
    shop: Shop,
    _tasks: Tasks,
}

async fn api() -> Api {
    let tasks = Tasks::new(Stop::new());
    let shop = Shop::default();
    let log = memory::Store::new();
    let deps = Deps {
        store: Arc::new(log.clone()),
        checkpoints: Arc::new(log.clone()),
        leases: Arc::new(log),
        sharing: ieum_saga::Sharing::Alone,
        participants: Arc::new(participants(&shop, &tasks)),
        clock: Clock::system(),
        rng: Rng::seeded(1),
        spans: None,
        service: "ieum".into(),
    };
    let opened = Service::open(Config::default(), deps).await;
    let (service, handle) = opened.expect("opens");
    let stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Background, "saga-engine", async move {
        service.run(stop).await.expect("not superseded");
    });
    let (router, _) = super::routes(handle.clone()).into_parts();
    Api {
        router,
        handle,
        shop,
        _tasks: tasks,
    }
}

impl Api {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body))
            .expect("a request");
        let answer = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20)
            .await
            .expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

fn definition(last: &str) -> Value {
    let call = |path: &str| json!({"service": "shop", "path": path});
    json!({"name": "buy", "steps": [
        {"name": "reserve", "call": call("/reserve/${input.id}"), "undo": call("/release")},
        {"name": "charge", "call": call(last), "undo": "none"}]})
}

const DEFINITION: &str = "/api/v1/sagas/definitions/buy";

#[tokio::test]
async fn a_saga_is_defined_started_and_read_over_http() {
    let api = api().await;
    let (status, defined) = api.ask("PUT", DEFINITION, &definition("/charge")).await;
    assert_eq!(status, 201, "{defined}");
    let (status, again) = api.ask("PUT", DEFINITION, &definition("/charge")).await;
    assert_eq!((status, &again["hash"]), (200, &defined["hash"]));
    let (_, list) = api
        .ask("GET", "/api/v1/sagas/definitions", &Value::Null)
        .await;
    assert_eq!(list["definitions"][0]["definition"]["name"], "buy");
    let (status, one) = api.ask("GET", DEFINITION, &Value::Null).await;
    assert_eq!((status, &one["versions"]), (200, &json!(1)));

    let start = json!({"definition": "buy", "key": "k-1", "input": {"id": "o-1"}});
    let (status, started) = api.ask("POST", "/api/v1/sagas", &start).await;
    assert_eq!(status, 201, "{started}");
    let id = started["id"].as_str().expect("an id").to_owned();
    let uuid = id.parse().expect("a UUID");
    api.handle.settled(uuid).await.expect("ends");
    let (status, again) = api.ask("POST", "/api/v1/sagas", &start).await;
    assert_eq!((status, again["duplicate"] == true), (200, true));

    let (status, saga) = api
        .ask("GET", &format!("/api/v1/sagas/{id}"), &Value::Null)
        .await;
    assert_eq!((status, &saga["status"]), (200, &json!("completed")));
    assert_eq!(saga["steps"][0]["answer"], json!({"done": "/reserve/o-1"}));
    assert_eq!(saga["steps"][0]["attempts"], 1);
    assert_eq!(saga["history"][0]["type"], "saga.started");
    let (_, list) = api
        .ask("GET", "/api/v1/sagas?state=completed&limit=5", &Value::Null)
        .await;
    assert_eq!(list["sagas"][0]["id"], json!(id));
    let (_, list) = api
        .ask("GET", "/api/v1/sagas?definition=sell", &Value::Null)
        .await;
    assert_eq!(list["sagas"], json!([]));
    let (_, live) = api.ask("GET", "/api/v1/sagas/liveness", &Value::Null).await;
    assert_eq!(live, json!({"stalled": []}));
    let (status, problem) = api
        .ask("POST", &format!("/api/v1/sagas/{id}/cancel"), &Value::Null)
        .await;
    assert_eq!((status, &problem["code"]), (409, &json!("IEUM-4008")));
}

#[tokio::test]
async fn a_participants_no_undoes_what_was_done() {
    let api = api().await;
    api.ask("PUT", DEFINITION, &definition("/declined")).await;
    let start = json!({"definition": "buy", "key": "k-1", "input": {"id": "o-1"}});
    let (_, started) = api.ask("POST", "/api/v1/sagas", &start).await;
    let id = started["id"].as_str().expect("an id").to_owned();
    api.handle
        .settled(id.parse().expect("a UUID"))
        .await
        .expect("ends");
    let (_, saga) = api
        .ask("GET", &format!("/api/v1/sagas/{id}"), &Value::Null)
        .await;
    assert_eq!(saga["status"], "compensated");
    assert_eq!(saga["failed"]["code"], "payment-declined");
    assert_eq!(api.shop.paths(), ["/reserve/o-1", "/declined", "/release"]);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_code() {
    let api = api().await;
    let mut wrong = definition("/charge/${steps.later.id}");
    wrong["steps"][0]["undo"] = Value::Null;
    let (status, problem) = api.ask("PUT", DEFINITION, &wrong).await;
    assert_eq!((status, &problem["code"]), (422, &json!("IEUM-4003")));
    assert_eq!(
        problem["problems"].as_array().map(Vec::len),
        Some(2),
        "{problem}"
    );
    api.ask("PUT", DEFINITION, &definition("/charge")).await;
    let cases = [
        (
            "PUT",
            "/api/v1/sagas/definitions/sell",
            definition("/x"),
            422,
            "IEUM-4003",
        ),
        (
            "PUT",
            DEFINITION,
            json!({"name": "buy", "stepps": []}),
            400,
            "IEUM-5003",
        ),
        (
            "GET",
            "/api/v1/sagas/definitions/sell",
            Value::Null,
            404,
            "IEUM-4002",
        ),
        (
            "POST",
            "/api/v1/sagas",
            json!({"definition": "sell", "key": "k"}),
            404,
            "IEUM-4002",
        ),
        (
            "POST",
            "/api/v1/sagas",
            json!({"definition": "buy", "key": "k"}),
            422,
            "IEUM-4004",
        ),
        (
            "GET",
            "/api/v1/sagas/no-such-id",
            Value::Null,
            404,
            "IEUM-4001",
        ),
        (
            "GET",
            "/api/v1/sagas?state=lost",
            Value::Null,
            400,
            "IEUM-5010",
        ),
        (
            "POST",
            "/api/v1/sagas/00000000-0000-0000-0000-000000000001/resume",
            json!({"reason": "why not"}),
            404,
            "IEUM-4001",
        ),
    ];
    for (method, path, body, status, code) in cases {
        let (answered, problem) = api.ask(method, path, &body).await;
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{method} {path}: {problem}"
        );
    }
}
