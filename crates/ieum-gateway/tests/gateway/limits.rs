//! How much is let in.

use std::sync::Arc;

use ieum_resilience::rate_limit::{MemoryStore, Store};
use ieum_testkit::Request;

use crate::support::{assert_problem, echo, gateway, gateway_with};

#[test]
fn a_used_up_rate_limit_says_when_to_come_back() {
    let upstream = echo();
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         rate-limit = {{ requests = 2, per = '1m' }}\n",
        upstream.address()
    ));
    let first = world.get("/");
    assert_eq!(first.status, 200);
    assert_eq!(first.get("ratelimit-policy"), Some("\"default\";q=2;w=60"));
    assert_eq!(first.get("ratelimit"), Some("\"default\";r=1;t=30"));
    assert_eq!(world.get("/").status, 200);
    let limited = world.get("/");
    assert_problem(&limited, 429, "Too Many Requests", "IEUM-1030");
    let wait: u64 = limited
        .get("retry-after")
        .and_then(|v| v.parse().ok())
        .expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn addresses_behind_a_trusted_proxy_are_counted_apart() {
    let upstream = echo();
    let world = gateway(&format!(
        "[gateway]\ntrusted-proxies = ['127.0.0.1']\n[[gateway.routes]]\nname = 'all'\npath = '/'\n\
         auth = 'none'\nurl = 'http://{}'\nrate-limit = {{ requests = 1, per = '1h' }}\n",
        upstream.address()
    ));
    let from = |address: &str| {
        let request = Request::new("GET", "/").header("x-forwarded-for", address);
        world.send(&request).status
    };
    assert_eq!((from("203.0.113.1"), from("203.0.113.2")), (200, 200));
    assert_eq!(from("203.0.113.1"), 429);
    assert_eq!(
        from("198.51.100.7, 203.0.113.2"),
        429,
        "what a client claims is not believed"
    );
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let upstream = echo();
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         max-body = '1KiB'\n",
        upstream.address()
    ));
    let mut request = Request::new("POST", "/");
    request.body = vec![b'x'; 1025];
    assert_problem(&world.send(&request), 413, "Content Too Large", "IEUM-1003");
    assert_eq!(upstream.requests().len(), 0);
    request.body.pop();
    assert_eq!(world.send(&request).status, 200);
    let chunk = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n";
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let answer = world.raw(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 413"),
        "one that does not say its length: {answer}"
    );
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let upstream = echo();
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    ));
    let long = format!("/?q={}", "x".repeat(8 << 10));
    assert_problem(&world.get(&long), 414, "URI Too Long", "IEUM-1002");
}

/// Two gateways with one store: what one lets in the other counts.
#[test]
fn gateways_that_share_a_store_share_a_limit() {
    let upstream = echo();
    let routes = format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         rate-limit = {{ requests = 3, per = '1h' }}\n",
        upstream.address()
    );
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(100));
    let gateway = || {
        gateway_with(&routes, |mut deps| {
            deps.limits = Some(Arc::clone(&store));
            deps
        })
    };
    let (one, two) = (gateway(), gateway());
    let statuses = [&one, &two, &one, &two, &one].map(|world| world.get("/").status);
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let limited = two.get("/");
    assert_problem(&limited, 429, "Too Many Requests", "IEUM-1030");
    assert!(
        limited
            .get("ratelimit")
            .is_some_and(|left| left.contains(";r=0;"))
    );
    assert_eq!(upstream.requests().len(), 3);
}
