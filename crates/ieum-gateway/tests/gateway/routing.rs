//! Which route a request belongs to, and what becomes of its path.

use ieum_testkit::Request;

use crate::support::{World, assert_problem, echo, gateway};

const ROUTES: &str = r#"
[[gateway.routes]]
name = "users"
path = "/api/v1/users"
strip-prefix = "/api/v1"
auth = "none"
url = "URL"

[[gateway.routes]]
name = "user"
path = "/api/v1/users/{id}"
methods = ["GET"]
rewrite = "/people/{id}"
auth = "none"
url = "URL/base"

[[gateway.routes]]
name = "admin"
path = "/api/v1/users/admin"
url = "URL"

[[gateway.routes]]
name = "orders"
path = "/api/v1/orders"
methods = ["GET", "POST"]
auth = "none"
url = "URL"
"#;

fn world(address: &str) -> World {
    gateway(&ROUTES.replace("URL", &format!("http://{address}")))
}

#[test]
fn paths_go_where_their_most_specific_route_says() {
    let upstream = echo();
    let world = world(&upstream.address());
    for (method, path, inside) in [
        ("GET", "/api/v1/users", "/users"),
        ("GET", "/api/v1/users?page=2&q=%2F", "/users?page=2&q=%2F"),
        ("GET", "/api/v1/users/7", "/base/people/7"),
        ("DELETE", "/api/v1/users/7", "/users/7"),
        ("GET", "/api/v1/users/7/orders", "/users/7/orders"),
        ("GET", "/api/v1//users///7/x", "/users/7/x"),
        ("GET", "/api/v1/%75sers/7/x", "/users/7/x"),
        ("POST", "/api/v1/orders", "/api/v1/orders"),
    ] {
        let reply = world.send(&Request::new(method, path));
        let seen = reply.expect(200).expect("JSON");
        assert_eq!(seen["target"], inside, "{method} {path}");
        assert_eq!(seen["method"], method);
    }
}

#[test]
fn a_prefix_is_not_a_beginning_of_a_word() {
    let upstream = echo();
    let world = world(&upstream.address());
    for path in [
        "/api/v1/users-evil",
        "/api/v1/usersx/1",
        "/api/v1",
        "/",
        "/api/v2/users",
    ] {
        assert_problem(&world.get(path), 404, "Service not found", "IEUM-1010");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn paths_with_two_readings_are_refused() {
    let upstream = echo();
    let world = world(&upstream.address());
    for path in [
        "/api/v1/users/../admin",
        "/api/v1/users/%2e%2e/admin",
        "/api/v1/users/%252e%252e/admin",
        "/api/v1/users%2fadmin",
        "/api/v1/users/a%5cb",
        "/api/v1/users/a\\b",
        "/api/v1/users/%00",
        "/api/v1/users/..;/admin",
        "/api/v1/users/admin;x=1",
        "/api/v1/users/%c0%ae",
    ] {
        assert_problem(&world.get(path), 400, "Bad Request", "IEUM-1001");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn another_spelling_does_not_evade_a_rule() {
    let upstream = echo();
    let world = world(&upstream.address());
    for path in [
        "/api/v1/users/admin",
        "/api/v1/users/%61dmin",
        "/api/v1/users//admin/",
        "/api/v1/users/admin/x",
    ] {
        assert_problem(&world.get(path), 403, "Forbidden", "IEUM-1023");
    }
    assert_eq!(
        upstream.requests().len(),
        0,
        "a route without a policy lets nobody in"
    );
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let upstream = echo();
    let reply = world(&upstream.address()).send(&Request::new("DELETE", "/api/v1/orders/1"));
    assert_problem(&reply, 405, "Method Not Allowed", "IEUM-1011");
    assert_eq!(reply.get("allow"), Some("GET, POST"));
}

#[test]
fn an_absolute_target_is_routed_by_its_path() {
    let upstream = echo();
    let world = world(&upstream.address());
    let answer = world.raw(
        b"GET http://shop.example/api/v1/users HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains(r#""x-forwarded-host":"shop.example""#),
        "{answer}"
    );
}

#[test]
fn a_service_is_found_in_the_registry() {
    let upstream = echo();
    let world = gateway(
        "[[gateway.routes]]\nname = 'u'\npath = '/u'\nauth = 'none'\nservice = 'users'\nretries = 0\n",
    );
    let reply = world.get("/u");
    assert_problem(&reply, 503, "Service unavailable", "IEUM-1040");
    world.register("users", &upstream.address());
    assert_eq!(world.get("/u").status, 200);
}
