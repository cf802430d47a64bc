//! What callers see when upstreams fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ieum_testkit::{Reply, Request, Stub};
use serde_json::json;

use crate::support::{World, always, assert_problem, gateway, nobody, wait_for};

fn route(extra: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'shop'\npath = '/'\nauth = 'none'\nservice = 'shop'\n{extra}\n"
    ))
}

/// Answers 503 until it was asked `failures` times.
fn recovering(failures: u32) -> (Stub, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let stub = Stub::start(move |request| {
        let status = if counter.fetch_add(1, Ordering::Relaxed) < failures {
            503
        } else {
            200
        };
        Reply {
            status,
            headers: Vec::new(),
            body: request.body.clone(),
        }
    });
    (stub.expect("a stub"), asked)
}

#[test]
fn an_idempotent_request_is_tried_once_more() {
    let (stub, asked) = recovering(1);
    let world = route("");
    world.register("shop", &stub.address());
    assert_eq!(world.get("/").status, 200);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(
        world.metric("ieum_gateway_retries_total{upstream=\"shop\"}"),
        1.0
    );
}

#[test]
fn a_post_is_not_repeated_unless_route_and_client_say_so() {
    let post = Request::new("POST", "/").json(&json!({"a": 1}));
    let keyed = post.clone().header("idempotency-key", "k-1");
    for (extra, request, status, tries) in [
        ("", &post, 503, 1),
        ("", &keyed, 503, 1),
        ("idempotent = true", &post, 503, 1),
        ("idempotent = true", &keyed, 200, 2),
    ] {
        let (stub, asked) = recovering(1);
        let world = route(extra);
        world.register("shop", &stub.address());
        let reply = world.send(request);
        assert_eq!(
            (reply.status, asked.load(Ordering::Relaxed)),
            (status, tries),
            "{extra}"
        );
        assert_eq!(reply.text(), "{\"a\":1}", "the body came whole each time");
    }
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_again() {
    let (stub, asked) = recovering(1);
    let world = route("idempotent = true");
    world.register("shop", &stub.address());
    let mut large = Request::new("PUT", "/");
    large.body = vec![b'x'; (64 << 10) + 1];
    assert_eq!(world.send(&large).status, 503);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    large.body.pop();
    asked.store(0, Ordering::Relaxed);
    let reply = world.send(&large);
    assert_eq!((reply.status, reply.body.len()), (200, 64 << 10));
}

#[test]
fn a_request_that_never_left_goes_to_another_endpoint_whatever_its_method() {
    let alive = always(200, "alive");
    let world = route("balance = 'round-robin'");
    world.register("shop", &nobody());
    world.register("shop", &alive.address());
    for _ in 0..6 {
        assert_eq!(world.send(&Request::new("POST", "/")).status, 200);
    }
}

#[test]
fn a_breaker_opens_on_a_dead_endpoint_and_says_when_to_come_back() {
    let world = route("retries = 0");
    world.register("shop", &nobody());
    assert_problem(&world.get("/"), 503, "Service unavailable", "IEUM-1043");
    wait_for("the breaker opens", || {
        let reply = world.get("/");
        let is_open = reply.json().is_ok_and(|body| body["code"] == "IEUM-1041");
        if is_open {
            assert_problem(&reply, 503, "Service unavailable", "IEUM-1041");
            assert!(reply.get("retry-after").is_some());
        }
        is_open
    });
}

#[test]
fn four_hundreds_do_not_open_a_breaker() {
    let stub = always(404, "no such thing");
    let world = route("");
    world.register("shop", &stub.address());
    for _ in 0..30 {
        assert_eq!(world.get("/").text(), "no such thing");
    }
}

#[test]
fn a_fallback_answers_for_what_is_unavailable_or_failed() {
    let answer = "fallback = { status = 200, json = { status = 'FALLBACK', message = '일시적으로 서비스를 이용할 수 없습니다.' }, headers = { x-from = 'fallback' } }";
    let world = route(answer);
    let check = |world: &World, what: &str| {
        let reply = world.get("/");
        let body = reply.expect(200).expect(what);
        assert_eq!(body["status"], "FALLBACK", "{what}");
        assert_eq!(reply.get("x-from"), Some("fallback"), "{what}");
    };
    check(&world, "no instance");
    world.register("shop", &nobody());
    for _ in 0..20 {
        check(&world, "a dead endpoint, then an open breaker");
    }
    let failing = always(503, "down");
    let world = route(answer);
    world.register("shop", &failing.address());
    check(&world, "an upstream that fails");
    assert!(!failing.requests().is_empty());
}

#[test]
fn a_fallback_does_not_hide_the_callers_mistakes() {
    let stub = always(422, "no");
    let world = route("max-body = '1KiB'\nfallback = { body = 'fallback' }");
    world.register("shop", &stub.address());
    assert_eq!(world.get("/").text(), "no");
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let answer = world.raw(format!("{head}800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048)).as_bytes());
    assert!(!answer.contains("fallback"), "{answer}");
}

#[test]
fn another_upstream_can_be_the_fallback() {
    let spare = always(200, "spare");
    let world = route(&format!(
        "fallback = {{ url = 'http://{}' }}",
        spare.address()
    ));
    let mut request = Request::new("POST", "/p?q=1").header("x-custom", "1");
    request.body = b"body".to_vec();
    assert_eq!(world.send(&request).text(), "spare");
    let seen = &spare.requests()[0];
    assert_eq!(
        (seen.target.as_str(), seen.body.as_slice()),
        ("/p?q=1", &b"body"[..])
    );
}

#[test]
fn retries_are_bounded_by_the_budget_when_everything_fails() {
    let bad = always(502, "down");
    // What the breaker does not stop, the budget does.
    let world = gateway(&format!(
        "[gateway.retry]\nretries = 3\nbackoff = '1ms'\nbackoff-max = '1ms'\n\
         budget = {{ percent = 20, per-second = 0 }}\n\
         [[gateway.routes]]\nname = 'shop'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        bad.address()
    ));
    let requests = 100;
    for _ in 0..requests {
        let _ = world.get("/");
    }
    let retries = world.metric("ieum_gateway_retries_total");
    assert!(retries <= f64::from(requests) * 0.2, "{retries} retries");
    assert!(world.metric("ieum_gateway_retries_over_budget_total") > 0.0);
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_given_up() {
    let stuck = Stub::start(|_| {
        std::thread::park_timeout(std::time::Duration::from_secs(3));
        Reply {
            status: 200,
            ..Reply::default()
        }
    })
    .expect("a stub");
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'shop'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         timeout = '200ms'\nretries = 0\n",
        stuck.address()
    ));
    assert_problem(&world.get("/"), 504, "Gateway Timeout", "IEUM-1045");
}

#[test]
fn an_upstream_that_breaks_off_is_a_bad_gateway() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"not HTTP at all\r\n\r\n");
        }
    });
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'shop'\npath = '/'\nauth = 'none'\nurl = 'http://{address}'\nretries = 0\n"
    ));
    assert_problem(&world.get("/"), 502, "Bad Gateway", "IEUM-1044");
}

#[test]
fn routes_to_one_service_share_its_breaker() {
    let world = gateway(
        "[[gateway.routes]]\nname = 'a'\npath = '/a'\nauth = 'none'\nservice = 'shop'\nretries = 0\n\
         [[gateway.routes]]\nname = 'b'\npath = '/b'\nauth = 'none'\nservice = 'shop'\nretries = 0\n",
    );
    world.register("shop", &nobody());
    let is_open = |reply: Reply| reply.json().is_ok_and(|body| body["code"] == "IEUM-1041");
    wait_for("the breaker opens", || is_open(world.get("/a")));
    assert!(is_open(world.get("/b")));
}
