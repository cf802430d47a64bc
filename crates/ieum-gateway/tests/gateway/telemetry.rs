//! What operators see of a request.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use ieum_base::Clock;
use ieum_base::trace::{SpanData, SpanKind, SpanSink, Tracer};
use ieum_testkit::{Reply, Request, Stub, TempFolder};

use crate::support::{always, echo, gateway, gateway_with, wait_for};

#[derive(Default)]
struct Collected(Mutex<Vec<SpanData>>);

impl SpanSink for Collected {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

#[test]
fn a_request_is_a_server_span_with_a_client_span_for_each_try() {
    let upstream = always(503, "down");
    let sink = Arc::new(Collected::default());
    let tracer = Tracer::new(
        "gateway",
        Arc::clone(&sink) as Arc<dyn SpanSink>,
        Clock::system(),
    );
    let settings = format!(
        "[[gateway.routes]]\nname = 'users'\npath = '/users/{{id}}'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    );
    let world = gateway_with(&settings, |mut deps| {
        deps.tracer = tracer;
        deps
    });
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _ = world.send(&Request::new("GET", "/users/7").header("traceparent", parent));
    wait_for("the spans have ended", || {
        sink.0.lock().expect("not poisoned").len() == 3
    });
    let spans = sink.0.lock().expect("not poisoned");
    let server = spans
        .iter()
        .find(|s| s.kind == SpanKind::Server)
        .expect("a server span");
    assert_eq!(server.name, "GET /users/{id}");
    assert_eq!(
        server.parent.map(|p| p.to_string()).as_deref(),
        Some("00f067aa0ba902b7")
    );
    assert!(server.error.is_some());
    let calls: Vec<_> = spans
        .iter()
        .filter(|s| s.kind == SpanKind::Client)
        .collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.parent == Some(server.span_id)));
    let sent: Vec<_> = upstream.requests();
    let carried = sent[0].get("traceparent").expect("a trace");
    assert!(
        calls
            .iter()
            .any(|call| carried.contains(&call.span_id.to_string()))
    );
}

#[test]
fn a_callers_decision_on_sampling_is_obeyed_and_ours_holds_for_new_traces() {
    let upstream = echo();
    let sink = Arc::new(Collected::default());
    let tracer = Tracer::new(
        "gateway",
        Arc::clone(&sink) as Arc<dyn SpanSink>,
        Clock::system(),
    )
    .sampling(0.0);
    let settings = format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    );
    let world = gateway_with(&settings, |mut deps| {
        deps.tracer = tracer;
        deps
    });
    let seen = world.get("/").expect(200).expect("JSON");
    let parent = seen["headers"]["traceparent"].as_str().expect("a trace");
    // Not recorded, but drawn at random.
    assert!(parent.ends_with("-02"), "it travels all the same: {parent}");
    let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _ = world.send(&Request::new("GET", "/").header("traceparent", sampled));
    wait_for("the caller's trace", || {
        sink.0.lock().expect("not poisoned").len() == 2
    });
}

#[test]
fn metrics_count_by_route_template() {
    let upstream = echo();
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'users'\npath = '/users/{{id}}'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    ));
    for user in 0..3 {
        assert_eq!(world.get(&format!("/users/{user}")).status, 200);
    }
    let _ = world.get("/nowhere");
    let counted = r#"api_requests_total{method="GET",path="/users/{id}",status_code="200"}"#;
    wait_for("they are counted", || world.metric(counted) == 3.0);
    let errors = r#"api_errors_total{method="GET",path="unmatched",status_code="404"}"#;
    wait_for("the error is counted", || world.metric(errors) == 1.0);
    let timed = r#"api_response_time_count{method="GET",path="/users/{id}"}"#;
    assert_eq!(world.metric(timed), 3.0);
    wait_for("nothing is in flight", || {
        world.metric("ieum_gateway_in_flight") == 0.0
    });
}

#[test]
fn a_request_whose_client_left_is_no_longer_in_flight() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Stub::start(move |_| {
        let _ = wait.lock().expect("not poisoned").recv();
        Reply {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
        }
    });
    let upstream = upstream.expect("a stub");
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'r'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    ));
    let in_flight = || world.metric("ieum_gateway_in_flight");
    let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(request).expect("sent");
    wait_for("the request is inside", || in_flight() == 1.0);
    drop(client);
    wait_for("nothing is in flight", || in_flight() == 0.0);
    drop(release);
}

#[test]
fn the_access_log_tells_each_request_without_its_query() {
    let upstream = echo();
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("access.jsonl");
    let world = gateway(&format!(
        "[gateway]\naccess-log = '{}'\n[[gateway.routes]]\nname = 'users'\npath = '/users'\nauth = 'none'\n\
         url = 'http://{}'\n",
        path.display(),
        upstream.address()
    ));
    let _ = world.get("/users/7?token=secret");
    let _ = world.get("/nowhere");
    world.runtime.block_on(world.handle.stop());
    let log = std::fs::read_to_string(&path).expect("a log");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!(
        (&lines[0]["path"], &lines[0]["status"]),
        (&"/users/7".into(), &200.into())
    );
    assert_eq!(lines[0]["endpoint"], upstream.address());
    assert_eq!(lines[1]["code"], "IEUM-1010");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn routes_can_be_listed() {
    let world = gateway(
        "[[gateway.routes]]\nname = 'users'\npath = '/u'\nauth = 'none'\nservice = 'users'\n",
    );
    let routes = world.handle.routes();
    assert_eq!(routes[0].upstreams, ["users"]);
}
