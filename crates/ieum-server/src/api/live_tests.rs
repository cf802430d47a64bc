//! The console's live pages as a page meets them: over a socket, with what services really send.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use ieum_base::Clock;
use ieum_discovery::{Instance, InstanceId, Registration};
use ieum_eventstore::{Append, Expect, NewEvent};
use ieum_remote::wire::breakers::BreakerState;
use ieum_remote::wire::log::ListStreams;
use ieum_remote::wire::traces::{ListTraces, LogLevel};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::Api;
use crate::live::MOST_LISTENERS;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

impl Api {
    async fn export(&self, signal: &str, body: &Value) -> Value {
        let path = format!("/v1/{signal}");
        let (status, answer) = self.json(Method::POST, &path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// `orders` answers a call of the gateway, which fails.
    async fn one_call(&self) {
        let now = Clock::system().now().as_micros() * 1_000;
        let span = |id: &str, parent: &str, kind: u8| {
            json!({"traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": "POST /orders",
                "kind": kind, "startTimeUnixNano": now - 8_000_000, "endTimeUnixNano": now,
                "attributes": [{"key": "order.id", "value": {"stringValue": "o-1"}}],
                "status": {"code": 2, "message": "503"}})
        };
        let of = |service: &str, span: Value| json!({"resource": resource(service), "scopeSpans": [{"spans": [span]}]});
        let answer = of("orders", span("b7ad6b7169203332", "b7ad6b7169203331", 2));
        let call = of("gateway", span("b7ad6b7169203331", "", 3));
        let spans = json!({"resourceSpans": [answer, call]});
        for _ in 0..2 {
            self.export("traces", &spans).await;
        }
    }

    async fn listen(&self) -> Listener {
        Listener::open(self.address).await
    }
}

fn resource(service: &str) -> Value {
    json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": service}},
        {"key": "process.pid", "value": {"intValue": "7"}},
    ]})
}

fn texts(pairs: &[(&str, &str)]) -> Value {
    let attribute =
        |(key, value): &(&str, &str)| json!({"key": key, "value": {"stringValue": value}});
    pairs.iter().map(attribute).collect()
}

#[tokio::test]
async fn the_overview_shows_who_is_registered_and_who_works() {
    let api = Api::start();
    let registration = Registration {
        instance: Instance {
            id: InstanceId("users-1".into()),
            service: "users".into(),
            address: "10.0.0.1".into(),
            port: 80,
            tags: Vec::new(),
            meta: [("owner".to_owned(), "team-a".to_owned())].into(),
            weight: 1,
        },
        checks: Vec::new(),
    };
    api.registry
        .register(registration)
        .await
        .expect("registers");
    api.one_call().await;
    let overview = api.remote().overview(None).await.expect("answers");
    let services = overview
        .services
        .iter()
        .map(|s| (&*s.name, s.load.rate > 0.0));
    let expected = [("gateway", false), ("orders", true), ("users", false)];
    assert_eq!(services.collect::<Vec<_>>(), expected);
    assert_eq!(overview.services[2].owner.as_deref(), Some("team-a"));
    assert_eq!(overview.services[2].instances.passing, 1);
    let [edge] = &overview.edges[..] else {
        panic!("one edge: {:?}", overview.edges);
    };
    assert_eq!((&*edge.from, &*edge.to), ("gateway", "orders"));
    assert!((edge.load.rate - 1.0 / 60.0).abs() < 1e-9, "{edge:?}");
    assert!((edge.load.error_rate - 1.0).abs() < 1e-9, "{edge:?}");
    assert!((6.0..=9.0).contains(&edge.load.p50_ms), "{edge:?}");
    let (_, busiest) = api.get("/api/v1/overview?limit=1").await;
    assert_eq!(busiest["services"][0]["name"], "orders");
    assert_eq!(api.get("/api/v1/overview?limit=0").await.0, 400);
}

#[tokio::test]
async fn breakers_that_services_report_are_listed_with_their_changes() {
    let api = Api::start();
    let labels = [
        ("service", "payments"),
        ("target", "10.0.0.9:80"),
        ("instance", "payments-1"),
    ];
    let gauge = |name: &str, value: u32| {
        let point = json!({"attributes": texts(&labels), "asInt": value.to_string()});
        json!({"name": name, "gauge": {"dataPoints": [point]}})
    };
    let metrics = json!({"resourceMetrics": [{"resource": resource("orders"), "scopeMetrics": [{
        "metrics": [gauge("ieum_breaker_state", 1), gauge("ieum_breaker_calls", 10),
            gauge("ieum_breaker_failures", 8)]}]}]});
    assert_eq!(api.export("metrics", &metrics).await, json!({}));
    let change = |nanos: u64, from: &str, to: &str, reason: &str| {
        let about = [
            ("event.name", "ieum.breaker.changed"),
            ("from", from),
            ("to", to),
        ];
        let more = [("reason", reason)];
        let attributes = texts(&[&labels[..], &about, &more].concat());
        json!({"timeUnixNano": nanos.to_string(), "severityNumber": 13, "attributes": attributes})
    };
    let records = [
        change(3_000_000, "half-open", "open", "the probe failed"),
        change(1_000_000, "closed", "open", "7 calls in a row failed"),
        change(2_000_000, "open", "half-open", "a probe is sent"),
    ];
    let logs = json!({"resourceLogs": [{"resource": resource("orders"),
        "scopeLogs": [{"logRecords": records}]}]});
    for _ in 0..2 {
        assert_eq!(api.export("logs", &logs).await, json!({}));
    }
    let breakers = api.remote().breakers(None).await.expect("answers");
    let [breaker] = &breakers[..] else {
        panic!("one breaker: {breakers:?}");
    };
    assert_eq!((&*breaker.owner, &*breaker.service), ("orders", "payments"));
    assert_eq!(breaker.state, BreakerState::Open);
    assert_eq!((breaker.calls, breaker.failures), (10, 8));
    assert_eq!(breaker.since.as_micros(), 3_000);
    let reasons = breaker.changes.iter().map(|change| &*change.reason);
    let expected = [
        "the probe failed",
        "a probe is sent",
        "7 calls in a row failed",
    ];
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
    let overview = api.remote().overview(None).await.expect("answers");
    assert_eq!((overview.breakers.open, overview.breakers.closed), (1, 0));
}

#[tokio::test]
async fn a_trace_comes_with_its_lines_and_without_their_secrets() {
    let api = Api::start();
    api.one_call().await;
    let record = |trace: &str, message: &str| {
        json!({"timeUnixNano": "1000000", "severityNumber": 17, "traceId": trace,
            "spanId": "b7ad6b7169203332", "body": {"stringValue": message},
            "attributes": texts(&[("card", "4242 4242 4242 4242"), ("step", "charge")])})
    };
    let records = [
        record(TRACE, "declined, password=hunter2"),
        record("", "outside"),
    ];
    let logs = json!({"resourceLogs": [{"resource": resource("orders"),
        "scopeLogs": [{"logRecords": records}]}]});
    let answer = api.export("logs", &logs).await;
    let remark = answer["partialSuccess"]["errorMessage"].as_str();
    assert!(
        remark.is_some_and(|remark| remark.contains("not kept")),
        "{answer}"
    );
    let trace = api.remote().trace("o-1").await.expect("kept");
    let [line] = &trace.logs[..] else {
        panic!("one line: {:?}", trace.logs);
    };
    assert_eq!((line.level, &*line.service), (LogLevel::Error, "orders"));
    assert_eq!(line.message, "declined, password=***");
    assert_eq!(line.attributes["step"], "charge");
    assert_eq!(line.attributes["card"], "***");
    let answer = trace.spans.iter().find(|span| &*span.service == "orders");
    assert_eq!(line.span_id, answer.map(|span| span.span_id));
}

#[tokio::test]
async fn traces_are_found_by_service_by_failure_and_by_what_they_are_about() {
    let api = Api::start();
    api.one_call().await;
    let remote = api.remote();
    let count = async |list: ListTraces| remote.traces(&list).await.expect("lists").len();
    let of = |service: &str| ListTraces {
        service: Some(service.into()),
        ..ListTraces::default()
    };
    assert_eq!(
        (count(of("orders")).await, count(of("users")).await),
        (1, 0)
    );
    let failed = |failed| ListTraces {
        failed: Some(failed),
        ..ListTraces::default()
    };
    assert_eq!(
        (count(failed(true)).await, count(failed(false)).await),
        (1, 0)
    );
    let about = |id: &str| ListTraces {
        about: Some(id.into()),
        ..ListTraces::default()
    };
    assert_eq!(
        (count(about("o-1")).await, count(about("o-2")).await),
        (1, 0)
    );
}

#[tokio::test]
async fn streams_are_listed_by_their_last_event_page_by_page() {
    let api = Api::start();
    let log = api.remote().event_store();
    for name in ["order-1", "user-1", "order-2", "order-1"] {
        let event = NewEvent::new(Clock::system().new_id(), "placed", &json!({})).expect("json");
        let append = Append::to(name.parse().expect("valid"), Expect::Any, vec![event]);
        log.append(append).await.expect("appends");
    }
    let mut list = ListStreams {
        limit: Some(2),
        ..ListStreams::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = api.remote().streams(&list).await.expect("lists");
        let names = page
            .streams
            .iter()
            .map(|s| (s.stream.to_string(), s.version.0));
        pages.push(names.collect::<Vec<_>>());
        assert!(page.whole);
        list.after = page.next;
        if list.after.is_none() {
            break;
        }
    }
    let entry = |name: &str, version| (name.to_owned(), version);
    let expected = [
        vec![entry("order-1", 2), entry("order-2", 1)],
        vec![entry("user-1", 1)],
    ];
    assert_eq!(pages, expected);
    let orders = ListStreams {
        prefix: Some("order-".into()),
        ..ListStreams::default()
    };
    let orders = api.remote().streams(&orders).await.expect("lists");
    assert_eq!(orders.streams.len(), 2);
    assert!(orders.streams.iter().all(|stream| stream.last_at.is_some()));
}

/// A connection that reads server-sent events.
struct Listener {
    connection: TcpStream,
    text: String,
}

impl Listener {
    async fn open(address: SocketAddr) -> Self {
        let mut connection = TcpStream::connect(address).await.expect("connects");
        let request = format!("GET /api/v1/live HTTP/1.1\r\nhost: {address}\r\n\r\n");
        connection
            .write_all(request.as_bytes())
            .await
            .expect("sends");
        Self {
            connection,
            text: String::new(),
        }
    }

    /// Reads until `text` came, or the end; true if it came.
    async fn reads(&mut self, text: &str) -> bool {
        let read = async {
            let mut buffer = [0; 4_096];
            while !self.text.contains(text) {
                match self.connection.read(&mut buffer).await {
                    Ok(0) | Err(_) => return false,
                    Ok(count) => self
                        .text
                        .push_str(&String::from_utf8_lossy(&buffer[..count])),
                }
            }
            true
        };
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        read.unwrap_or_else(|_| panic!("`{text}` did not come: {}", self.text))
    }

    /// The data of the last event of this name.
    fn last(&self, event: &str) -> Value {
        let from = self
            .text
            .rfind(&format!("event: {event}\n"))
            .expect("an event");
        let data = self.text[from..].lines().nth(1).expect("data");
        let data = data.strip_prefix("data: ").expect("data");
        serde_json::from_str(data).expect("JSON")
    }
}

#[tokio::test]
async fn a_listener_is_sent_overviews_and_what_has_changed() {
    let api = Api::start();
    let mut listener = api.listen().await;
    assert!(listener.reads("retry: 2000\n\n: keep-alive\n\n").await);
    assert!(
        listener.text.contains("text/event-stream"),
        "{}",
        listener.text
    );
    assert!(listener.reads("event: overview\n").await);
    assert!(
        !listener.text.contains("event: changed"),
        "nothing has changed"
    );
    api.one_call().await;
    assert!(listener.reads("\"what\":\"traces\"").await);
    assert!(listener.reads("\n\r\n").await);
    assert_eq!(
        listener.last("changed"),
        json!({"what": "traces", "count": 4})
    );
    assert_eq!(listener.last("overview")["edges"][0]["to"], "orders");
}

#[tokio::test]
async fn a_listener_too_many_is_refused_until_another_leaves() {
    let api = Api::start();
    let mut listeners = Vec::new();
    for _ in 0..MOST_LISTENERS {
        let mut listener = api.listen().await;
        assert!(listener.reads(": keep-alive").await);
        listeners.push(listener);
    }
    let (status, problem) = api.get("/api/v1/live").await;
    assert_eq!((status, &problem["code"]), (503, &json!("IEUM-5017")));
    listeners.truncate(MOST_LISTENERS - 1);
    let freed = async {
        loop {
            let mut listener = api.listen().await;
            let answered = listener.reads("\r\n\r\n").await;
            if answered && listener.text.contains(" 200 ") {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), freed).await;
    assert!(in_time.is_ok(), "no place became free");
}

#[tokio::test]
async fn the_stream_ends_at_once_when_the_platform_stops() {
    let api = Api::start();
    let mut listener = api.listen().await;
    assert!(listener.reads("event: overview\n").await);
    api.tasks.stop().request();
    assert!(!listener.reads("this never comes").await, "the stream ends");
}
