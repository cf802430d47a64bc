//! Requests whose end is in doubt never reach an upstream.

use crate::support::{World, echo, gateway};

fn check(bytes: &[u8], status: &str) {
    let upstream = echo();
    let world = open(&upstream.address());
    let answer = world.raw(bytes);
    let shown = String::from_utf8_lossy(bytes);
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{shown:?} → {answer:?}"
    );
    assert_eq!(upstream.requests().len(), 0, "{shown:?} went through");
}

fn open(address: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{address}'\n"
    ))
}

#[test]
fn two_answers_to_where_a_request_ends_are_refused() {
    check(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400");
    check(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "400",
    );
    check(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "400",
    );
    check(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "400",
    );
    check(
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    );
    check(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "400",
    );
}

#[test]
fn malformed_heads_are_refused() {
    check(b"GET / HTTP/1.1\nHost: a\n\n", "400");
    check(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "400");
    check(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400");
    check(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400");
    check(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400");
    check(b"GET / HTTP/1.1\r\n\r\n", "400");
    check(b"GARBAGE\r\n\r\n", "400");
}

#[test]
fn a_hidden_second_request_is_not_sent_inside() {
    let upstream = echo();
    let world = open(&upstream.address());
    let answer = world.raw(
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
          0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    check(large.as_bytes(), "431");
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    check(
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes(),
        "431",
    );
}

#[test]
fn the_gateway_is_no_forward_proxy() {
    check(
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "400",
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = echo();
    let world = open(&upstream.address());
    let answer = world.raw(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let (one, two) = (answer.find("\"/1\""), answer.find("\"/2\""));
    assert!(one.is_some() && one < two, "{answer}");
}
