//! Keys, sessions and transactions as a client sees them.

use std::time::Duration;

use axum::http::StatusCode;
use ieum_base::testing::pass;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::tests::Client;

impl Client {
    /// Sets a key; answers whether it was set.
    async fn set(&self, key_and_query: &str, value: &str) -> Value {
        let path = format!("/v1/kv/{key_and_query}");
        let answer = self.call("PUT", &path, value.to_owned()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    async fn session(&self, body: &Value) -> String {
        let answer = self.put("/v1/session/create", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["ID"].as_str().expect("an id").to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_set_read_listed_and_deleted() {
    let client = Client::new().await;
    for (key, value) in [
        ("app/a", "1"),
        ("app%2Fb", "2"),
        ("app/c/d", "3"),
        ("z", "4"),
    ] {
        assert_eq!(client.set(&format!("{key}?flags=42"), value).await, true);
    }
    let answer = client.get("/v1/kv/app/b").await;
    let entry = &answer.json()[0];
    assert_eq!(
        (&entry["Key"], &entry["Value"]),
        (&json!("app/b"), &json!("Mg=="))
    );
    assert_eq!(
        (&entry["Flags"], &entry["LockIndex"]),
        (&json!(42), &json!(0))
    );
    assert_eq!(entry["ModifyIndex"], answer.index());
    assert!(entry.get("Session").is_none());
    let raw = client.get("/v1/kv/app/b?raw").await;
    assert_eq!(raw.text, "2");
    assert_eq!(raw.headers["content-type"], "text/plain");
    assert_eq!(raw.headers["x-content-type-options"], "nosniff");
    let tree = client.get("/v1/kv/app/?recurse").await.json();
    assert_eq!(tree.as_array().map(Vec::len), Some(3));
    let keys = client.get("/v1/kv/app/?keys&separator=/").await.json();
    assert_eq!(keys, json!(["app/a", "app/b", "app/c/"]));
    let all = client.get("/v1/kv/?keys").await.json();
    assert_eq!(all, json!(["app/a", "app/b", "app/c/d", "z"]));
    let deleted = client
        .call("DELETE", "/v1/kv/app/?recurse", String::new())
        .await;
    assert_eq!(deleted.json(), true);
    let gone = client.get("/v1/kv/app/b").await;
    assert_eq!(
        (gone.status, gone.text.as_str()),
        (StatusCode::NOT_FOUND, "")
    );
    assert!(
        gone.index() > answer.index(),
        "the index of a deleted key goes on"
    );
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_of_a_key_is_refused() {
    let client = Client::new().await;
    for (method, path, text) in [
        ("GET", "/v1/kv/", "Missing key name"),
        ("PUT", "/v1/kv/", "Missing key name"),
        ("DELETE", "/v1/kv/", "Missing key name"),
        ("PUT", "/v1/kv/a?cas=x", "Invalid cas"),
        ("PUT", "/v1/kv/a?flags=-1", "Invalid flags"),
        (
            "PUT",
            "/v1/kv/a?cas=1&acquire=x",
            "Conflicting flags: cas&acquire",
        ),
        (
            "DELETE",
            "/v1/kv/a?cas=1&recurse",
            "Conflicting flags: recurse&cas",
        ),
        (
            "PUT",
            "/v1/kv/a?acquire=nobody",
            "invalid session \"nobody\"",
        ),
        (
            "PUT",
            "/v1/kv/a?acquire=adf4238a-882b-9ddc-4a9d-5b6758e4159e",
            "invalid session \"adf4238a-882b-9ddc-4a9d-5b6758e4159e\"",
        ),
    ] {
        let answer = client.call(method, path, String::new()).await;
        let seen = (answer.status, answer.text.as_str());
        assert_eq!(seen, (StatusCode::BAD_REQUEST, text), "{method} {path}");
    }
    let large = client
        .call("PUT", "/v1/kv/a", "x".repeat((512 << 10) + 1))
        .await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.text, "Request body too large, max size: 524288 bytes");
    assert_eq!(client.set("a", &"x".repeat(512 << 10)).await, true);
}

#[tokio::test(start_paused = true)]
async fn compare_and_set_is_true_for_one_and_false_for_the_other() {
    let client = Client::new().await;
    assert_eq!(client.set("a?cas=0", "1").await, true);
    assert_eq!(client.set("a?cas=0", "2").await, false);
    let index = client.get("/v1/kv/a").await.index();
    assert_eq!(client.set(&format!("a?cas={index}"), "2").await, true);
    assert_eq!(client.set(&format!("a?cas={index}"), "3").await, false);
    let stale = format!("/v1/kv/a?cas={index}");
    let answer = client.call("DELETE", &stale, String::new()).await;
    assert_eq!(answer.json(), false);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_query_on_a_key_is_woken_by_it_only() {
    let client = Client::new().await;
    client.set("a", "1").await;
    let index = client.get("/v1/kv/a").await.index();
    let begun = Instant::now();
    let path = format!("/v1/kv/a?index={index}&wait=60s");
    let changes = async {
        client.set("b", "1").await;
        pass(Duration::from_secs(3)).await;
        client.set("a", "2").await;
    };
    let (answer, ()) = tokio::join!(client.get(&path), changes);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!(answer.json()[0]["Value"], "Mg==");
    let far = format!("/v1/kv/a?index={}&wait=10m", index + 1_000);
    client.get(&far).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(3), "not left hanging");
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_a_key_and_its_end_gives_it_back() {
    let client = Client::new().await;
    let one = client
        .session(&json!({"Name": "one", "TTL": "30s", "LockDelay": "0s"}))
        .await;
    let two = client
        .session(&json!({"name": "two", "lock_delay": 0, "behavior": "delete"}))
        .await;
    assert_eq!(
        client.set(&format!("leader?acquire={one}"), "1").await,
        true
    );
    assert_eq!(
        client.set(&format!("leader?acquire={two}"), "2").await,
        false
    );
    let held = client.get("/v1/kv/leader").await.json()[0].clone();
    assert_eq!(
        (&held["Session"], &held["LockIndex"]),
        (&json!(one), &json!(1))
    );
    let info = client.get(&format!("/v1/session/info/{one}")).await.json();
    assert_eq!(info[0]["TTL"], "30s");
    assert_eq!(info[0]["Behavior"], "release");
    assert_eq!(info[0]["NodeChecks"], json!(["serfHealth"]));
    assert_eq!(info[0]["ServiceChecks"], Value::Null);
    let count = async |path: &str| client.get(path).await.json().as_array().map(Vec::len);
    assert_eq!(count("/v1/session/list").await, Some(2));
    assert_eq!(count("/v1/session/node/ieum").await, Some(2));
    assert_eq!(count("/v1/session/node/other").await, Some(0));
    let renewed = client
        .put(&format!("/v1/session/renew/{one}"), &Value::Null)
        .await;
    assert_eq!(renewed.json()[0]["ID"], json!(one));
    let index = client.get("/v1/session/list").await.index();
    let waiting = format!("/v1/session/list?index={index}&wait=60s");
    let destroy = format!("/v1/session/destroy/{one}");
    let (list, destroyed) = tokio::join!(client.get(&waiting), client.put(&destroy, &Value::Null));
    assert_eq!(destroyed.json(), true);
    assert_eq!(list.json().as_array().map(Vec::len), Some(1));
    assert_eq!(
        client.set(&format!("leader?acquire={two}"), "2").await,
        true
    );
    assert_eq!(
        client.set(&format!("leader?release={one}"), "").await,
        false
    );
    let gone = client
        .put(&format!("/v1/session/renew/{one}"), &Value::Null)
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    client
        .put(&format!("/v1/session/destroy/{two}"), &Value::Null)
        .await;
    assert_eq!(
        client.get("/v1/kv/leader").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_is_refused() {
    let client = Client::new().await;
    for (body, text) in [
        (
            json!({"TTL": "5s"}),
            "Invalid Session TTL '5s', must be between [10s=24h0m0s]",
        ),
        (json!({"TTL": "25h"}), "Invalid Session TTL"),
        (
            json!({"Behavior": "keep"}),
            "Invalid Behavior setting 'keep'",
        ),
        (json!({"Node": "elsewhere"}), "Missing node registration"),
        (
            json!({"Checks": ["nope"]}),
            "Missing check 'nope' registration",
        ),
        (
            json!({"ServiceChecks": [{"ID": "nope"}]}),
            "Missing check 'nope'",
        ),
        (json!({"LockDelay": "soon"}), "Request decode failed"),
    ] {
        let answer = client.put("/v1/session/create", &body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{body}: {}",
            answer.text
        );
        assert!(answer.text.contains(text), "{body}: {}", answer.text);
    }
    let bare = client
        .call("PUT", "/v1/session/create", String::new())
        .await;
    assert_eq!(bare.status, StatusCode::OK, "none is said, all is default");
    let malformed = client.put("/v1/session/destroy/x", &Value::Null).await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_answers_results_or_why_not() {
    let client = Client::new().await;
    client.set("a", "1").await;
    let done = client
        .put(
            "/v1/txn",
            &json!([
                {"KV": {"Verb": "set", "Key": "b", "Value": "Mg==", "Flags": 7}},
                {"KV": {"Verb": "get-tree", "Key": ""}},
                {"KV": {"Verb": "get-or-empty", "Key": "c"}},
                {"KV": {"Verb": "delete", "Key": "a"}},
            ]),
        )
        .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let results = done.json()["Results"].clone();
    let of = |place: usize| results[place]["KV"].clone();
    assert_eq!(
        (&of(0)["Key"], &of(0)["Value"]),
        (&json!("b"), &Value::Null)
    );
    assert_eq!(
        (&of(1)["Key"], &of(1)["Value"]),
        (&json!("a"), &json!("MQ=="))
    );
    assert_eq!(
        (&of(2)["Key"], &of(2)["Value"]),
        (&json!("b"), &json!("Mg=="))
    );
    assert_eq!(of(2)["ModifyIndex"], client.get("/v1/kv/b").await.index());
    assert_eq!(
        (&of(3)["Key"], &of(3)["ModifyIndex"]),
        (&json!("c"), &json!(0))
    );
    assert_eq!(
        results.as_array().map(Vec::len),
        Some(4),
        "none for what is deleted"
    );
    let refused = client
        .put(
            "/v1/txn",
            &json!([
                {"KV": {"Verb": "set", "Key": "b", "Value": "Mw=="}},
                {"KV": {"Verb": "check-not-exists", "Key": "b"}},
            ]),
        )
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["Errors"][0]["OpIndex"], 1);
    assert_eq!(
        client.get("/v1/kv/b?raw").await.text,
        "2",
        "nothing of it was done"
    );
    for (body, status) in [
        (json!([{"Node": {"Verb": "get"}}]), 400),
        (json!([{"KV": {"Verb": "nope", "Key": "a"}}]), 400),
        (
            json!(vec![json!({"KV": {"Verb": "delete", "Key": "a"}}); 129]),
            413,
        ),
    ] {
        let answer = client.put("/v1/txn", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    }
}
