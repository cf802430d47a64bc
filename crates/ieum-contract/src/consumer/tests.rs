//! A consumer's test, played with a plain client.

use std::time::Duration;

use http::Method;
use ieum_base::{Stop, Tasks};
use ieum_http::HttpClient;
use ieum_http::client::json_request;
use serde_json::json;

use super::matchers::*;
use super::*;
use crate::{ErrorKind, Pact};

const SOON: Duration = Duration::from_secs(5);

fn recording() -> Recording {
    Recording::new("orders", "users").call(
        call("a user is made")
            .given("nobody is there")
            .request(send("post", "/users").json(json!({ "name": like("Kim") })))
            .response(reply(201).json(json!({
                "id": uuid("8f14e45f-ceea-467f-a8f6-0d3a5b3b1c11"),
                "tags": each_like(term("^[a-z]+$", "new")),
                "limits": map_of(&term("^\\w+$", "daily"), &integer(5)),
            }))),
    )
}

fn client() -> HttpClient {
    HttpClient::new(Tasks::new(Stop::new()))
}

#[tokio::test]
async fn what_was_used_becomes_a_contract() {
    let mock = recording().start().await.expect("a mock");
    let url = format!("{}/users", mock.url());
    let body = json!({ "name": "Lee" });
    let answer = client()
        .post_json(&url, &body, SOON)
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    let user: serde_json::Value = serde_json::from_slice(answer.body()).expect("json");
    assert_eq!(
        (&user["tags"], &user["limits"]),
        (&json!(["new"]), &json!({ "daily": 5 }))
    );
    let pact = mock.finish().await.expect("as recorded");
    let rules = &pact.to_json()["interactions"][0]["response"]["matchingRules"]["body"];
    assert_eq!(
        rules["$.tags"]["matchers"][0],
        json!({ "match": "type", "min": 1 })
    );
    assert_eq!(rules["$.tags[*]"]["matchers"][0]["match"], "regex");
    assert_eq!(rules["$.limits"]["matchers"][1]["match"], "eachValue");
}

#[tokio::test]
async fn what_was_not_expected_is_told_with_its_differences_and_what_is_missing() {
    let mock = recording().start().await.expect("a mock");
    let url = format!("{}/users", mock.url());
    let request = json_request(Method::POST, &url, &json!({ "name": 5, "more": 1 })).expect("json");
    let answer = client().request(request, SOON).await.expect("an answer");
    assert_eq!(answer.status(), 500);
    let error = mock.finish().await.expect_err("not as recorded");
    assert_eq!(error.kind(), ErrorKind::Unmet);
    for part in [
        "not expected: POST /users",
        "$.body.name: expected a string, was a number: 5",
        "$.body.more: is not expected",
        "never called: a user is made",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("ieum-contract-{name}-{}", std::process::id()))
}

fn pact(description: &str, status: u16) -> Pact {
    let call = call(description)
        .request(send("GET", "/"))
        .response(reply(status));
    Recording::new("a", "b")
        .call(call)
        .checked()
        .expect("well-formed")
}

#[test]
fn two_that_write_at_once_both_keep_theirs() {
    let folder = folder("merge");
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let folder = folder.clone();
            std::thread::spawn(move || pact(&format!("call {n}"), 200).merge_into(&folder))
        })
        .collect();
    for writer in writers {
        writer.join().expect("no panic").expect("written");
    }
    let file = folder.join("a-b.json");
    let merged = Pact::open(&file).expect("whole");
    assert_eq!(merged.interactions.len(), 8);
    let before = std::fs::read(&file).expect("a file");
    pact("call 3", 200)
        .merge_into(&folder)
        .expect("the same again");
    assert_eq!(std::fs::read(&file).expect("a file"), before);
    let conflict = pact("call 3", 404)
        .merge_into(&folder)
        .expect_err("another answer");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test]
async fn nothing_comes_into_a_contract_without_being_used() {
    let both = || {
        let call = call("a call")
            .request(send("GET", "/"))
            .response(reply(200));
        let event = event("an event").json(json!({ "a": 1 }));
        Recording::new("a", "b").call(call).event(event)
    };
    let taken = both().consume(async |_: &crate::model::Message| Ok::<_, String>(()));
    for error in [
        taken.await.expect_err("with a call"),
        both().start().await.expect_err("with an event"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[test]
fn matchers_within_the_values_of_a_map_hold() {
    let user = json!({ "id": like("u1"), "age": integer(30), "fixed": "x" });
    let body = json!({ "users": map_of(&like("kim"), &user) });
    let call = call("users").response(reply(200).json(body));
    let pact = Recording::new("a", "b").call(call).checked();
    let pact = Pact::read(pact.expect("well-formed").to_text().as_bytes()).expect("read again");
    let crate::model::Exchange::Http(http) = &pact.interactions[0].exchange else {
        panic!("a call");
    };
    let check = |user: serde_json::Value| {
        let body =
            json!({ "users": { "lee": { "id": "u2", "age": 7, "fixed": "x" }, "park": user } });
        let mut actual = crate::model::Response {
            body: crate::model::Body::json(&body),
            ..crate::model::Response::default()
        };
        actual.headers.set("content-type", "application/json");
        let found = crate::matching::match_response(&http.response, &actual);
        found
            .into_iter()
            .map(|wrong| wrong.path)
            .collect::<Vec<_>>()
    };
    let fine = json!({ "id": "u3", "age": 8, "fixed": "x" });
    assert_eq!(check(fine), [""; 0]);
    let wrong = json!({ "id": 3, "age": "8", "fixed": "y" });
    let place = |name: &str| format!("$.body.users.park.{name}");
    assert_eq!(check(wrong), ["age", "fixed", "id"].map(place));
}
