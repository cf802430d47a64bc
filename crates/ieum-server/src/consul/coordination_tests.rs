//! Keys, sessions, transactions, nodes and maintenance as a client sees them.

use std::time::Duration;

use axum::http::StatusCode;
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
        tokio::time::sleep(Duration::from_secs(3)).await;
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

#[tokio::test(start_paused = true)]
async fn a_filter_leaves_what_it_asks_for() {
    let client = Client::new().await;
    for (id, version, tag) in [("web-1", "1", "old"), ("web-2", "2", "new")] {
        let body = json!({"ID": id, "Name": "web", "Tags": [tag], "Meta": {"version": version},
                          "Check": {"CheckID": id, "TTL": "1m", "Status": "passing"}});
        client.register(&body).await;
    }
    let filter = "filter=Service.Meta.version%20%3D%3D%20%222%22";
    let path = format!("/v1/health/service/web?passing&{filter}");
    assert_eq!(client.ids(&path).await, ["web-2"]);
    let services = client
        .get("/v1/agent/services?filter=%22old%22%20in%20Tags")
        .await;
    assert_eq!(services.json().as_object().map(|o| o.len()), Some(1));
    let checks = client
        .get("/v1/agent/checks?filter=CheckID==%22web-1%22")
        .await;
    assert_eq!(checks.json().as_object().map(|o| o.len()), Some(1));
    let catalog = client
        .get("/v1/catalog/service/web?filter=ServiceMeta.version!=%222%22")
        .await;
    assert_eq!(catalog.json()[0]["ServiceID"], "web-1");
    let services = client
        .get("/v1/catalog/services?filter=ServiceName==%22web%22")
        .await;
    assert_eq!(services.json(), json!({"web": ["new", "old"]}));
    let state = client
        .get("/v1/health/state/passing?filter=ServiceID==%22web-2%22")
        .await;
    assert_eq!(state.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_external_node_is_listed_found_and_removed() {
    let client = Client::new().await;
    let body = json!({
        "Node": "partner", "Address": "10.0.0.7", "NodeMeta": {"external": "true"},
        "Service": {"ID": "db-1", "Service": "db", "Port": 5432},
        "Check": {"CheckID": "db", "Name": "database", "Status": "passing", "ServiceID": "db-1"}
    });
    let index = client.get("/v1/catalog/nodes").await.index();
    let waiting = format!("/v1/catalog/nodes?index={index}&wait=60s");
    let (nodes, registered) = tokio::join!(
        client.get(&waiting),
        client.put("/v1/catalog/register", &body)
    );
    assert_eq!(registered.json(), true);
    assert_eq!(nodes.json()[1]["Node"], "partner");
    let entry = client
        .get("/v1/health/service/db?passing&node-meta=external:true")
        .await;
    assert_eq!(entry.json()[0]["Node"]["Address"], "10.0.0.7");
    assert_eq!(entry.json()[0]["Service"]["Address"], "10.0.0.7");
    assert_eq!(
        client
            .ids("/v1/health/service/db?node-meta=external:no")
            .await,
        [""; 0]
    );
    assert_eq!(
        client.get("/v1/agent/services").await.json(),
        json!({}),
        "not the agent's"
    );
    let node = client.get("/v1/catalog/node/partner").await.json();
    assert_eq!(node["Services"]["db-1"]["Port"], 5432);
    let node = client.get("/v1/catalog/node-services/partner").await.json();
    assert_eq!(node["Services"][0]["ID"], "db-1");
    assert_eq!(
        client.get("/v1/catalog/node/nobody").await.json(),
        Value::Null
    );
    let checks = client.get("/v1/health/node/partner").await.json();
    assert_eq!(checks[0]["CheckID"], "db");
    let failing = json!({"Node": "partner", "Address": "10.0.0.7",
        "Check": {"CheckID": "db", "Status": "critical", "ServiceID": "db-1"}, "SkipNodeUpdate": true});
    client.put("/v1/catalog/register", &failing).await;
    assert_eq!(client.ids("/v1/health/service/db?passing").await, [""; 0]);
    let removed = client
        .put("/v1/catalog/deregister", &json!({"Node": "partner"}))
        .await;
    assert_eq!(removed.json(), true);
    assert_eq!(client.ids("/v1/health/service/db").await, [""; 0]);
    let itself = client
        .put("/v1/catalog/deregister", &json!({"Node": "ieum"}))
        .await;
    assert_eq!(itself.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn maintenance_takes_an_instance_or_the_whole_node_out() {
    let client = Client::new().await;
    for id in ["web-1", "web-2"] {
        client.register(&json!({"ID": id, "Name": "web"})).await;
    }
    let path = "/v1/agent/service/maintenance/web-1";
    let entered = client
        .put(&format!("{path}?enable=true&reason=upgrade"), &Value::Null)
        .await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text);
    assert_eq!(
        client.ids("/v1/health/service/web?passing").await,
        ["web-2"]
    );
    let worst = client
        .get("/v1/agent/health/service/name/web?format=text")
        .await;
    assert_eq!(
        (worst.status.as_u16(), worst.text.as_str()),
        (503, "critical")
    );
    let well = client.get("/v1/agent/health/service/id/web-2").await;
    assert_eq!(well.json()["AggregatedStatus"], "passing");
    client
        .put(&format!("{path}?enable=false"), &Value::Null)
        .await;
    assert_eq!(
        client.get("/v1/agent/health/service/name/web").await.status,
        StatusCode::OK
    );
    client
        .put("/v1/agent/maintenance?enable=True", &Value::Null)
        .await;
    assert_eq!(client.ids("/v1/health/service/web?passing").await, [""; 0]);
    let checks = client.get("/v1/agent/checks").await.json();
    assert_eq!(checks["_node_maintenance"]["ServiceID"], "");
    client
        .put("/v1/agent/maintenance?enable=false", &Value::Null)
        .await;
    assert_eq!(
        client.ids("/v1/health/service/web?passing").await,
        ["web-1", "web-2"]
    );
    for (path, status) in [
        ("/v1/agent/maintenance", 400),
        ("/v1/agent/maintenance?enable=perhaps", 400),
        ("/v1/agent/service/maintenance/nope?enable=true", 404),
        ("/v1/agent/service/maintenance/nope?enable=false", 404),
    ] {
        let answer = client.put(path, &Value::Null).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    }
    assert_eq!(
        client
            .get("/v1/agent/health/service/id/nope")
            .await
            .status
            .as_u16(),
        404
    );
}

#[tokio::test(start_paused = true)]
async fn a_hash_waits_until_the_instance_is_described_otherwise() {
    let client = Client::new().await;
    client
        .register(&json!({"ID": "web-1", "Name": "web", "Port": 80}))
        .await;
    let first = client.get("/v1/agent/service/web-1").await;
    let hash = first.headers["x-consul-contenthash"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(first.json()["ContentHash"], json!(hash));
    let path = format!("/v1/agent/service/web-1?hash={hash}&wait=60s");
    let changed = json!({"ID": "web-1", "Name": "web", "Port": 81});
    let (answer, ()) = tokio::join!(client.get(&path), client.register(&changed));
    assert_eq!(answer.json()["Port"], 81);
}

#[tokio::test(start_paused = true)]
async fn the_state_of_all_checks_can_be_waited_for() {
    let client = Client::new().await;
    let body = json!({"Name": "web", "Check": {"CheckID": "c", "TTL": "1m"}});
    client.register(&body).await;
    let index = client.get("/v1/health/state/critical").await.index();
    let path = format!("/v1/health/state/critical?index={index}&wait=60s");
    let pass = client.put("/v1/agent/check/pass/c", &Value::Null);
    let (answer, _) = tokio::join!(client.get(&path), pass);
    assert_eq!(answer.json(), json!([]));
}
