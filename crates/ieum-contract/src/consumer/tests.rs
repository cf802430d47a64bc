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
