//! Several services, one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ieum_testkit::{Reply, Request, Stub, eventually};
use serde_json::{Value, json};

use crate::support::{World, assert_problem, gateway, nobody};

fn json_stub(body: Value) -> Stub {
    Stub::start(move |_| Reply::json_of(200, &body)).expect("a stub")
}

fn dashboard(users: &str, orders: &str, notifications: &str) -> World {
    gateway(&format!(
        r#"
        [[gateway.routes]]
        name = "dashboard"
        path = "/api/web/dashboard/{{team}}"
        auth = "none"
        timeout = "2s"
        retries = 0
        [gateway.routes.compose]
        user = {{ url = "http://{users}", path = "/users/${{path.team}}" }}
        orders = {{ url = "http://{orders}/base", path = "/orders?page=${{query.page}}" }}
        notifications = {{ url = "http://{notifications}", path = "/notifications", optional = true }}
        "#
    ))
}

#[test]
fn parts_are_joined_into_one_object() {
    let users = json_stub(json!({"id": "7", "name": "Kim"}));
    let orders = json_stub(json!([{"id": "o-1"}]));
    let notifications = json_stub(json!([]));
    let world = dashboard(
        &users.address(),
        &orders.address(),
        &notifications.address(),
    );
    let request =
        Request::new("GET", "/api/web/dashboard/7?page=2&x=1").header("x-user-id", "forged");
    let whole = world.send(&request).expect(200).expect("JSON");
    let expected = json!({
        "user": {"id": "7", "name": "Kim"}, "orders": [{"id": "o-1"}], "notifications": [],
    });
    assert_eq!(whole, expected);
    assert_eq!(users.requests()[0].target, "/users/7");
    assert_eq!(users.requests()[0].get("x-user-id"), None);
    assert_eq!(orders.requests()[0].target, "/base/orders?page=2");
    let trace = |stub: &Stub| {
        stub.requests()[0]
            .get("traceparent")
            .map(|p| p[3..35].to_owned())
    };
    assert!(trace(&users).is_some() && trace(&users) == trace(&orders));
}

#[test]
fn parts_are_asked_at_the_same_time() {
    let asked = Arc::new(AtomicUsize::new(0));
    // Nobody answers before all three were asked.
    let patient = || {
        let asked = Arc::clone(&asked);
        let answer = move |_: &Request| {
            asked.fetch_add(1, Ordering::SeqCst);
            let all = || (asked.load(Ordering::SeqCst) == 3).then_some(());
            let waited = eventually("all parts are asked", Duration::from_secs(1), all);
            Reply::json_of(if waited.is_ok() { 200 } else { 500 }, &json!({}))
        };
        Stub::start(answer).expect("a stub")
    };
    let (users, orders, notifications) = (patient(), patient(), patient());
    let world = dashboard(
        &users.address(),
        &orders.address(),
        &notifications.address(),
    );
    let request = Request::new("GET", "/api/web/dashboard/7");
    let whole = world.send(&request).expect(200).expect("JSON");
    assert_eq!(
        whole,
        json!({"user": {}, "orders": {}, "notifications": {}})
    );
}

#[test]
fn an_optional_part_that_fails_is_null_and_told() {
    let users = json_stub(json!({"id": "7"}));
    let orders = json_stub(json!([]));
    let world = dashboard(&users.address(), &orders.address(), &nobody());
    let whole = world.get("/api/web/dashboard/7").expect(200).expect("JSON");
    assert_eq!(whole["notifications"], Value::Null);
    assert_eq!(whole["errors"]["notifications"]["status"], 503);
    assert_eq!(whole["errors"]["notifications"]["code"], "IEUM-1043");
}

#[test]
fn a_part_that_is_needed_fails_the_whole() {
    let users = Stub::start(|_| Reply::json_of(404, &json!({}))).expect("a stub");
    let orders = json_stub(json!([]));
    let world = dashboard(&users.address(), &orders.address(), &nobody());
    let reply = world.get("/api/web/dashboard/7");
    assert_problem(&reply, 502, "Bad Gateway", "IEUM-1046");
    let body = reply.json().expect("JSON");
    assert_eq!(
        (&body["part"], &body["partStatus"]),
        (&json!("user"), &json!(404))
    );
}

#[test]
fn a_value_cannot_leave_its_place_in_a_path() {
    let users = json_stub(json!({}));
    let orders = json_stub(json!([]));
    let world = dashboard(&users.address(), &orders.address(), &nobody());
    let _ = world.get("/api/web/dashboard/a%3Fb%23c?page=1%262%26admin=true");
    assert_eq!(users.requests()[0].target, "/users/a%3Fb%23c");
    assert_eq!(
        orders.requests()[0].target,
        "/base/orders?page=1%262%26admin%3Dtrue"
    );
}
