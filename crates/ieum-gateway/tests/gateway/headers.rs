//! What of a request's head goes inside.

use ieum_testkit::Request;
use serde_json::Value;

use crate::support::{echo, gateway};

/// The headers that the upstream sees.
fn inside(settings: &str, request: &Request) -> Value {
    let upstream = echo();
    let world = gateway(&format!(
        "[gateway]\n{settings}\n[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\n\
         url = 'http://{}'\n",
        upstream.address()
    ));
    let reply = world.send(request);
    let mut seen = reply.expect(200).expect("JSON");
    seen["headers"]["upstream"] = upstream.address().into();
    seen["headers"].take()
}

fn get() -> Request {
    Request::new("GET", "/x")
}

#[test]
fn identity_from_outside_never_arrives_in_any_spelling() {
    let names = [
        "x-user-id",
        "x_user_id",
        "user-id",
        "user_id",
        "X-User-Roles",
        "x_user-roles",
        "x-user-anything",
        "x-tenant-id",
        "x_tenant_id",
        "x-forwarded-user",
        "x-original-url",
        "x-rewrite-url",
        "x-client-cert",
        "x_client_cert",
        "ieum-saga-id",
        "ieum_epoch",
        "x-internal-key",
        "x_internal_key",
    ];
    let request = names
        .iter()
        .fold(get(), |request, name| request.header(name, "forged"));
    let seen = inside("internal-headers = ['x-internal-key']", &request);
    let forged = seen
        .as_object()
        .expect("an object")
        .values()
        .any(|v| v == "forged");
    assert!(!forged, "{seen}");
}

#[test]
fn hop_by_hop_headers_end_at_the_gateway() {
    let request = get()
        .header("connection", "keep-alive, x-hop")
        .header("keep-alive", "timeout=5")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic x")
        .header("upgrade", "h2c");
    let seen = inside("", &request);
    for name in [
        "keep-alive",
        "x-hop",
        "te",
        "proxy-authorization",
        "upgrade",
        "connection",
    ] {
        assert_eq!(seen.get(name), None, "{name}: {seen}");
    }
}

#[test]
fn connection_cannot_name_what_the_gateway_adds() {
    let request = get().header(
        "connection",
        "x-forwarded-for, x-request-id, traceparent, x-forwarded-host",
    );
    let seen = inside("", &request);
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert!(
        seen["x-request-id"].is_string() && seen["traceparent"].is_string(),
        "{seen}"
    );
}

#[test]
fn forwarded_headers_are_rebuilt_for_strangers() {
    let request = get()
        .header("host", "shop.example")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "for=203.0.113.9");
    let seen = inside("", &request);
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "http");
    assert_eq!(seen["x-forwarded-host"], "shop.example");
    assert_eq!(seen.get("forwarded"), None);
    assert_eq!(seen["host"], seen["upstream"], "the endpoint's own name");
}

#[test]
fn forwarded_headers_of_trusted_proxies_are_added_to() {
    let request = get()
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example");
    let seen = inside("trusted-proxies = ['127.0.0.0/8']", &request);
    assert_eq!(seen["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "https");
    assert_eq!(seen["x-forwarded-host"], "shop.example");
}

#[test]
fn a_harmless_request_id_is_kept_and_another_is_replaced() {
    assert_eq!(
        inside("", &get().header("x-request-id", "abc-1"))["x-request-id"],
        "abc-1"
    );
    let replaced = inside("", &get().header("x-request-id", "a b\"c"));
    assert_ne!(replaced["x-request-id"], "a b\"c");
    let seen = inside("", &get());
    let parent = seen["traceparent"].as_str().expect("a trace");
    let id = seen["x-request-id"].as_str().expect("an id");
    assert_eq!(
        parent.split('-').nth(1),
        Some(id),
        "an id of ours is the trace's"
    );
}

#[test]
fn a_trace_that_came_goes_on() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = get()
        .header("traceparent", parent)
        .header("tracestate", "a=1");
    let seen = inside("", &request);
    let inside = seen["traceparent"].as_str().expect("a trace");
    assert!(
        inside.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{inside}"
    );
    assert_ne!(inside, parent, "the parent inside is the gateway's call");
    assert_eq!(seen["tracestate"], "a=1");
}

#[test]
fn other_headers_pass() {
    let seen = inside(
        "",
        &get()
            .header("cookie", "a=b")
            .header("x-custom", "1")
            .header("authorization", "Basic x"),
    );
    assert_eq!(seen["cookie"], "a=b");
    assert_eq!(seen["x-custom"], "1");
    assert_eq!(seen["authorization"], "Basic x");
}
