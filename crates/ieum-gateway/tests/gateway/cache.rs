//! Answers that are kept.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ieum_resilience::cache::{Cache, Error, ErrorKind, Lookup, Result, Ticket};
use ieum_testkit::{Reply, Request, Stub};

use crate::support::{World, config, gateway, gateway_with, wait_for};

/// An upstream that counts its answers: the body is the count, the headers are these.
fn counting(headers: &'static [(&'static str, &'static str)]) -> (Stub, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let stub = Stub::start(move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Reply {
            status: 200,
            headers: headers.collect(),
            body: number.to_string().into_bytes(),
        }
    });
    (stub.expect("a stub"), count)
}

fn caching(upstream: &Stub, more: &str) -> World {
    gateway(&routes(upstream, more))
}

fn routes(upstream: &Stub, more: &str) -> String {
    format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         cache = {{ {more} }}\n",
        upstream.address()
    )
}

/// Waits until an answer was kept `count` times.
fn kept(world: &World, count: f64) {
    wait_for("the answer is kept", || {
        world.metric("ieum_gateway_cache_total{path=\"/\",outcome=\"kept\"") >= count
    });
}

const MINUTE: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"v1\"")];

#[test]
fn an_answer_that_may_be_kept_is_given_again_with_its_age() {
    let (upstream, count) = counting(MINUTE);
    let world = caching(&upstream, "");
    let first = world.get("/a?x=1");
    assert_eq!((first.text(), first.get("age")), ("1".into(), None));
    kept(&world, 1.0);
    let again = world.get("/a?x=1");
    assert_eq!(again.text(), "1");
    assert_eq!(again.get("cache-status"), Some("ieum; hit"));
    assert_eq!(again.get("etag"), Some("\"v1\""));
    let age: u64 = again
        .get("age")
        .and_then(|age| age.parse().ok())
        .expect("an age");
    assert!(age <= 5, "{age}");
    assert_ne!(again.get("x-request-id"), first.get("x-request-id"));
    assert_eq!(world.get("/a?x=2").text(), "2", "another target");
    assert_eq!(world.get("/a").text(), "3");
    let other = Request::new("GET", "/a?x=1").header("host", "other");
    assert_eq!(world.send(&other).text(), "4", "another authority");
    assert_eq!(count.load(Ordering::SeqCst), 4);
    let host = world.address();
    let head = format!("HEAD /a?x=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let head = world.raw(head.as_bytes());
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(head.contains("cache-status: ieum; hit") && head.contains("content-length: 1"));
    assert_eq!(
        world.metric("ieum_gateway_cache_total{path=\"/\",outcome=\"hit\""),
        2.0
    );
}

#[test]
fn what_may_not_be_kept_is_asked_for_each_time() {
    for headers in [
        &[][..],
        &[("cache-control", "no-store, max-age=60")],
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
    ] {
        let (upstream, _) = counting(headers);
        let world = caching(&upstream, "");
        for expected in ["1", "2", "3"] {
            assert_eq!(world.get("/").text(), expected, "{headers:?}");
        }
    }
}

#[test]
fn a_route_may_say_how_long() {
    let (upstream, count) = counting(&[]);
    let world = caching(&upstream, "ttl = '1m', max-size = '1B'");
    assert_eq!(world.get("/").text(), "1");
    kept(&world, 1.0);
    assert_eq!(world.get("/").text(), "1");
    count.store(9, Ordering::SeqCst);
    assert_eq!(world.get("/large").text(), "10");
    assert_eq!(world.get("/large").text(), "11", "larger than is kept");
}

#[test]
fn requests_choose_by_the_headers_that_an_answer_varies_by() {
    let (upstream, _) = counting(&[("cache-control", "max-age=60"), ("vary", "Accept-Language")]);
    let world = caching(&upstream, "");
    let ask = |language: &str| {
        world
            .send(&Request::new("GET", "/").header("accept-language", language))
            .text()
    };
    assert_eq!((ask("ko"), ask("en")), ("1".into(), "2".into()));
    kept(&world, 2.0);
    assert_eq!(
        (ask("ko"), ask("en"), ask("de")),
        ("1".into(), "2".into(), "3".into())
    );
}

#[test]
fn a_request_may_ask_past_the_cache() {
    let (upstream, _) = counting(MINUTE);
    let world = caching(&upstream, "");
    let ask = |name: &str, value: &str| {
        world
            .send(&Request::new("GET", "/").header(name, value))
            .text()
    };
    assert_eq!(world.get("/").text(), "1");
    kept(&world, 1.0);
    assert_eq!(ask("cache-control", "no-store"), "2");
    assert_eq!(world.get("/").text(), "1");
    assert_eq!(ask("range", "bytes=0-0"), "3");
    assert_eq!(ask("cache-control", "no-cache"), "4");
    kept(&world, 2.0);
    assert_eq!(world.get("/").text(), "4", "it was kept anew");
}

#[test]
fn who_has_the_answer_is_told_so() {
    let (upstream, _) = counting(MINUTE);
    let world = caching(&upstream, "");
    world.get("/");
    kept(&world, 1.0);
    let known = world.send(&Request::new("GET", "/").header("if-none-match", "W/\"v1\""));
    assert_eq!((known.status, known.text()), (304, String::new()));
    assert_eq!(known.get("etag"), Some("\"v1\""));
    let other = world.send(&Request::new("GET", "/").header("if-none-match", "\"v0\""));
    assert_eq!((other.status, other.text()), (200, "1".into()));
}

#[test]
fn a_write_makes_everybody_forget_its_target() {
    let (upstream, _) = counting(&[
        ("cache-control", "max-age=60"),
        ("vary", "accept-language"),
        ("content-location", "/beside"),
    ]);
    let world = caching(&upstream, "");
    let ask = |target: &str, language: &str| {
        world
            .send(&Request::new("GET", target).header("accept-language", language))
            .text()
    };
    for (number, (target, language)) in
        [("/a", "ko"), ("/a", "en"), ("/beside", "ko"), ("/c", "ko")]
            .into_iter()
            .enumerate()
    {
        assert_eq!(ask(target, language), (number + 1).to_string());
    }
    kept(&world, 4.0);
    assert_eq!(world.send(&Request::new("PATCH", "/a")).text(), "5");
    assert_eq!(ask("/a", "ko"), "6");
    assert_eq!(ask("/a", "en"), "7");
    assert_eq!(ask("/beside", "ko"), "8", "the answer named it");
    assert_eq!(ask("/c", "ko"), "4", "another target is kept");
}

#[test]
fn a_writer_that_leaves_before_its_answer_makes_everybody_forget_too() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let count = AtomicUsize::new(0);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let upstream = Stub::start(move |request| {
        if request.method == "POST" {
            begun.send(()).expect("somebody waits for it");
            // Until the test is over.
            let _ = released.lock().expect("one writer").recv();
        }
        Reply {
            status: 200,
            headers: vec![("cache-control".into(), "max-age=60".into())],
            body: count
                .fetch_add(1, Ordering::SeqCst)
                .to_string()
                .into_bytes(),
        }
    });
    let upstream = upstream.expect("a stub");
    let world = caching(&upstream, "");
    assert_eq!(world.get("/").text(), "0");
    kept(&world, 1.0);
    let mut caller = TcpStream::connect(world.address()).expect("connected");
    let post = "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n";
    let post = post.replace("HOST", &world.address());
    caller.write_all(post.as_bytes()).expect("sent");
    has_begun.recv().expect("the upstream is asked");
    assert_eq!(world.get("/").text(), "0", "nothing is known yet");
    drop(caller);
    wait_for("it is forgotten", || world.get("/").text() != "0");
    drop(release);
}

#[test]
fn credentials_keep_an_answer_apart() {
    let (upstream, _) = counting(MINUTE);
    let world = caching(&upstream, "");
    let with_cookie = Request::new("GET", "/").header("cookie", "session=1");
    assert_eq!(world.send(&with_cookie).text(), "1");
    assert_eq!(
        world.get("/").text(),
        "2",
        "what was answered to a cookie is not kept"
    );
    kept(&world, 1.0);
    assert_eq!(world.get("/").text(), "2");
}

/// Two requests that differ in what the upstream may answer by, and in nothing else that is kept apart.
fn are_kept_apart(world: &World, one: &Request, other: &Request) {
    let first = world.send(one).text();
    kept(world, 1.0);
    assert_eq!(world.send(one).text(), first, "{one:?} is kept");
    assert_ne!(world.send(other).text(), first, "{other:?}");
    assert_eq!(world.send(one).text(), first, "{one:?} is still kept");
}

#[test]
fn nobody_chooses_what_others_are_answered_by_a_header_that_no_vary_names() {
    for (name, value) in [
        ("x-forwarded-prefix", "//evil"),
        ("x-forwarded-port", "1"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-host", "evil"),
        ("x-http-method-override", "DELETE"),
    ] {
        let (upstream, _) = counting(MINUTE);
        let world = caching(&upstream, "");
        let (plain, crafted) = (Request::new("GET", "/"), Request::new("GET", "/"));
        let crafted = crafted.header(name, value);
        are_kept_apart(&world, &plain, &crafted);
    }
}

#[test]
fn what_a_trusted_proxy_says_of_a_request_keeps_its_answer_apart() {
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other"),
        ("forwarded", "proto=https"),
    ] {
        let (upstream, _) = counting(MINUTE);
        let trusting = "[gateway]\ntrusted-proxies = ['127.0.0.0/8']\n".to_owned();
        let world = gateway(&(trusting + &routes(&upstream, "")));
        let (plain, told) = (Request::new("GET", "/"), Request::new("GET", "/"));
        are_kept_apart(&world, &plain, &told.header(name, value));
    }
    let (upstream, _) = counting(MINUTE);
    let world = caching(&upstream, "");
    assert_eq!(world.get("/").text(), "1");
    kept(&world, 1.0);
    let claimed = Request::new("GET", "/").header("x-forwarded-proto", "https");
    assert_eq!(world.send(&claimed).text(), "1", "nobody is told of it");
}

#[test]
fn a_request_with_a_body_is_for_the_upstream_alone() {
    let (upstream, _) = counting(MINUTE);
    let world = caching(&upstream, "");
    let with_body = Request::new("GET", "/").json(&serde_json::json!({"q": "evil"}));
    assert_eq!(world.send(&with_body).text(), "1");
    assert_eq!(
        world.get("/").text(),
        "2",
        "an answer to a body is not kept"
    );
    kept(&world, 1.0);
    assert_eq!(world.send(&with_body).text(), "3");
    assert_eq!(world.get("/").text(), "2");
}

#[test]
fn an_answer_without_a_header_is_not_kept_for_those_who_send_it() {
    let (upstream, _) = counting(&[("cache-control", "max-age=60"), ("vary", "Accept-Language")]);
    let world = caching(&upstream, "");
    let korean = Request::new("GET", "/").header("accept-language", "ko");
    let taken_away = Request::new("GET", "/").header("accept-language", "ko");
    let taken_away = taken_away.header("connection", "accept-language");
    let crafted = world.send(&taken_away).text();
    kept(&world, 1.0);
    assert_ne!(world.send(&korean).text(), crafted);
    assert_eq!(
        world.get("/").text(),
        crafted,
        "who sends none is answered with it"
    );
}

#[test]
fn a_fallbacks_answer_is_not_kept() {
    let world = gateway(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://127.0.0.1:1'\n\
         cache = { ttl = '1m' }\nfallback = { json = {} }\n",
    );
    for _ in 0..3 {
        assert_eq!(world.get("/").get("cache-status"), None);
    }
    assert_eq!(
        world.metric("ieum_gateway_cache_total{path=\"/\",outcome=\"kept\""),
        0.0
    );
}

/// A cache that does not answer.
struct Gone;

#[async_trait::async_trait]
impl Cache for Gone {
    async fn get(&self, _: &str) -> Result<Option<Bytes>> {
        Err(gone())
    }

    async fn set(&self, _: &str, _: Bytes, _: Duration) -> Result<()> {
        Err(gone())
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Err(gone())
    }

    async fn clear(&self) -> Result<()> {
        Err(gone())
    }

    async fn look_up(&self, _: &str) -> Result<Lookup> {
        Err(gone())
    }

    async fn fill(&self, _: &str, _: Ticket, _: Bytes, _: Duration) -> Result<bool> {
        Err(gone())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "asking")
}

#[test]
fn without_its_cache_a_route_answers() {
    let (upstream, _) = counting(MINUTE);
    let world = gateway_with(&routes(&upstream, ""), |mut deps| {
        deps.cache = Some(Arc::new(Gone));
        deps
    });
    for expected in ["1", "2", "3"] {
        assert_eq!(world.get("/").text(), expected);
    }
    assert_eq!(world.send(&Request::new("POST", "/")).text(), "4");
}

#[test]
fn a_cache_where_nothing_can_be_kept_is_refused() {
    for (route, message) in [
        (
            "url = 'http://a'\nupgrade = true\ncache = {}",
            "not with `upgrade`",
        ),
        (
            "url = 'http://a'\nmethods = ['POST']\ncache = {}",
            "answers to GET",
        ),
        ("service = 'a'\ngrpc = true\ncache = {}", "not with `grpc`"),
        (
            "cache = {}\ncompose = { a = { service = 'a', path = '/' } }",
            "not with `compose`",
        ),
        ("url = 'http://a'\ncache = { ttl = '0s' }", "above 0s"),
        (
            "url = 'http://a'\ncache = { max-size = '1GiB' }",
            "1B to 16MiB",
        ),
    ] {
        let toml = format!("[[gateway.routes]]\nname = 'a'\npath = '/a'\nauth = 'none'\n{route}\n");
        let errors = config(&toml).validate();
        assert!(
            errors.iter().any(|e| e.message.contains(message)),
            "{route}: {errors:?}"
        );
    }
}
