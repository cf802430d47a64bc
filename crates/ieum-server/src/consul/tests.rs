//! The API as a client sees it: requests go in, answers come out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use ieum_base::testing::pass;
use ieum_base::{Clock, Stop, Tasks};
use ieum_discovery::catalog::Limits;
use ieum_discovery::embedded::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::router;
use crate::config;

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    pub(super) fn index(&self) -> u64 {
        let header = self.headers.get("x-consul-index").expect("an index");
        header.to_str().expect("text").parse().expect("a number")
    }
}

pub(super) struct Client(Router);

impl Client {
    pub(super) async fn new() -> Self {
        let store = Arc::new(ieum_eventstore::memory::Store::new());
        let registry = Registry::open(store, Clock::system(), Limits::default()).await;
        let tasks = Tasks::new(Stop::new());
        let (registry, config) = (registry.expect("a registry"), config::Registry::default());
        let kv = super::store(&registry, &config, false, &tasks);
        let router = router(registry, kv, &config);
        Self(router)
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: String) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body)).expect("a request");
        let answer = self.0.clone().oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, String::new()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, body.to_string()).await
    }

    /// Registers, and fails the test if that is refused.
    pub(super) async fn register(&self, body: &Value) {
        let answer = self.put("/v1/agent/service/register", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.text, "");
    }

    pub(super) async fn ids(&self, path: &str) -> Vec<String> {
        let entries = self.get(path).await.json();
        let entries = entries.as_array().expect("a list").iter();
        let id = |entry: &Value| entry["Service"]["ID"].as_str().expect("an id").to_owned();
        entries.map(id).collect()
    }
}

fn with_ttl(id: &str) -> Value {
    json!({"ID": id, "Name": "web", "Port": 80, "Check": {"TTL": "10s"}})
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_registered_reported_found_and_removed() {
    let client = Client::new().await;
    client.register(&with_ttl("web-1")).await;
    assert!(
        client
            .ids("/v1/health/service/web?passing")
            .await
            .is_empty()
    );
    let told = client
        .put("/v1/agent/check/pass/service:web-1?note=fine", &json!(null))
        .await;
    assert_eq!((told.status, told.text.as_str()), (StatusCode::OK, ""));
    let answer = client.get("/v1/health/service/web?passing=true").await;
    for name in [
        "x-consul-knownleader",
        "x-consul-lastcontact",
        "x-consul-index",
    ] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    let entry = &answer.json()[0];
    assert_eq!(entry["Node"]["Address"], "127.0.0.1");
    assert_eq!(
        entry["Service"]["Address"], "127.0.0.1",
        "the node's, by default"
    );
    assert_eq!(
        entry["Service"]["Weights"],
        json!({"Passing": 1, "Warning": 1})
    );
    let check = &entry["Checks"][0];
    assert_eq!(check["CheckID"], "service:web-1");
    assert_eq!(check["Name"], "Service 'web' check");
    assert_eq!(
        (&check["Status"], &check["Output"]),
        (&json!("passing"), &json!("fine"))
    );
    assert_eq!(
        entry["Checks"].as_array().map(Vec::len),
        Some(1),
        "no serfHealth"
    );
    let removed = client
        .put("/v1/agent/service/deregister/web-1", &json!(null))
        .await;
    assert_eq!(removed.status, StatusCode::OK);
    assert!(client.ids("/v1/health/service/web").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn fields_are_read_in_any_case_as_other_languages_write_them() {
    let client = Client::new().await;
    let body = json!({
        "name": "web", "id": "web-1", "address": "10.0.0.1", "port": 80, "tags": ["a"],
        "meta": {"Some_Key": "kept as it is"}, "weights": {"passing": 3, "warning": 1},
        "check": {"http": "http://10.0.0.1/health", "interval": "10s", "timeout": 1_000_000_000,
                  "deregister_critical_service_after": "90m", "header": null, "args": []},
        "enable_tag_override": false, "something_new": 1
    });
    client.register(&body).await;
    let service = client.get("/v1/agent/service/web-1").await.json();
    assert_eq!(service["Meta"], json!({"Some_Key": "kept as it is"}));
    assert_eq!(service["Weights"]["Passing"], 3);
    let check = client.get("/v1/agent/checks").await.json()["service:web-1"].clone();
    assert_eq!(check["Type"], "http");
    assert_eq!(
        (&check["Interval"], &check["Timeout"]),
        (&json!("10s"), &json!("1s"))
    );
    assert_eq!(check["Status"], "critical", "before the first result");
}

#[tokio::test(start_paused = true)]
async fn several_checks_are_numbered_as_in_consul() {
    let client = Client::new().await;
    let body = json!({"Name": "web", "Check": {"TTL": "1m", "Status": "passing"},
                      "Checks": [{"TCP": "127.0.0.1:1", "Interval": "1s"},
                                 {"CheckID": "mine", "Name": "n", "TTL": "1h"}]});
    client.register(&body).await;
    let checks = client.get("/v1/health/checks/web").await.json();
    let ids = checks.as_array().expect("a list").iter();
    let ids: Vec<&str> = ids.filter_map(|c| c["CheckID"].as_str()).collect();
    assert_eq!(ids, ["service:web:1", "service:web:2", "mine"]);
    let states = client.get("/v1/health/state/critical").await.json();
    assert_eq!(states.as_array().map(Vec::len), Some(2));
    assert_eq!(client.ids("/v1/health/service/web?tag=none").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn checks_that_are_not_mentioned_stay_unless_the_query_replaces_them() {
    let client = Client::new().await;
    let path = "/v1/agent/service/register";
    client.register(&with_ttl("web-1")).await;
    let other = json!({"ID": "web-1", "Name": "web", "Check": {"CheckID": "other", "TTL": "1m"}});
    client.register(&other).await;
    let count = async || {
        client
            .get("/v1/health/checks/web")
            .await
            .json()
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(count().await, Some(2));
    client
        .put(&format!("{path}?replace-existing-checks=true"), &other)
        .await;
    assert_eq!(count().await, Some(1));
    let added = json!({"Name": "third", "ServiceID": "web-1", "TTL": "1m"});
    let answer = client.put("/v1/agent/check/register", &added).await;
    assert_eq!((answer.status, count().await), (StatusCode::OK, Some(2)));
    client
        .put("/v1/agent/check/deregister/third", &json!(null))
        .await;
    assert_eq!(count().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_blocking_query_answers_when_its_service_changes() {
    let client = Client::new().await;
    client.register(&with_ttl("web-1")).await;
    let index = client.get("/v1/health/service/web").await.index();
    let path = format!("/v1/health/service/web?index={index}&wait=60s");
    let query = client.get(&path);
    let other = json!({"Name": "db", "Port": 1});
    let changes = async {
        client.register(&other).await;
        let before = tokio::time::Instant::now();
        pass(Duration::from_secs(1)).await;
        client
            .put("/v1/agent/check/pass/service:web-1", &json!(null))
            .await;
        before
    };
    let (answer, before) = tokio::join!(query, changes);
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "woken, not timed out"
    );
    assert!(answer.index() > index);
    assert_eq!(answer.json()[0]["Checks"][0]["Status"], "passing");
}

#[tokio::test(start_paused = true)]
async fn a_blocking_query_waits_as_long_as_it_says_and_a_sixteenth_more_at_most() {
    let client = Client::new().await;
    client.register(&with_ttl("web-1")).await;
    let index = client.get("/v1/health/service/web").await.index();
    for (wait, least, most) in [("16s", 16, 17), ("", 300, 319), ("24h", 600, 638)] {
        let before = tokio::time::Instant::now();
        let path = format!("/v1/health/service/web?index={index}&wait={wait}");
        assert_eq!(client.get(&path).await.index(), index);
        let waited = before.elapsed().as_secs();
        assert!((least..=most).contains(&waited), "{wait}: {waited}");
    }
    let far = format!("/v1/health/service/web?index={}&wait=10m", index + 1_000);
    let before = tokio::time::Instant::now();
    assert_eq!(client.get(&far).await.index(), index);
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "an index of another life"
    );
}

#[tokio::test(start_paused = true)]
async fn the_catalog_lists_services_with_tags_and_the_platform_itself() {
    let client = Client::new().await;
    for (id, tags) in [("web-1", ["b", "a"]), ("web-2", ["c", "a"])] {
        client
            .register(&json!({"ID": id, "Name": "web", "Tags": tags}))
            .await;
    }
    let answer = client.get("/v1/catalog/services").await;
    assert_eq!(answer.json(), json!({"consul": [], "web": ["a", "b", "c"]}));
    let path = format!("/v1/catalog/services?index={}&wait=10s", answer.index());
    let new = json!({"Name": "db"});
    let (seen, ()) = tokio::join!(client.get(&path), client.register(&new));
    assert_eq!(
        seen.json(),
        json!({"consul": [], "db": [], "web": ["a", "b", "c"]})
    );
    let found = client.get("/v1/catalog/service/web?tag=C").await.json();
    assert_eq!(found[0]["ServiceID"], "web-2");
    assert_eq!(client.ids("/v1/health/service/consul").await, ["consul"]);
}

#[tokio::test(start_paused = true)]
async fn the_node_answers_for_itself() {
    let client = Client::new().await;
    assert_eq!(
        client.get("/v1/status/leader").await.json(),
        "127.0.0.1:8300"
    );
    assert_eq!(
        client.get("/v1/status/peers").await.json(),
        json!(["127.0.0.1:8300"])
    );
    let itself = client.get("/v1/agent/self").await.json();
    assert_eq!(itself["Config"]["Datacenter"], "dc1");
    assert_eq!(itself["Member"]["Status"], 1);
    assert_eq!(
        client.get("/v1/catalog/datacenters").await.json(),
        json!(["dc1"])
    );
    assert_eq!(
        client.get("/v1/catalog/nodes").await.json()[0]["Node"],
        "ieum"
    );
    assert_eq!(client.get("/v1/agent/services").await.json(), json!({}));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_registered_is_refused_as_consul_refuses_it() {
    let client = Client::new().await;
    let with_check = |check: Value| json!({"Name": "web", "Check": check});
    for (body, text) in [
        (json!({"Port": 1}), "Missing service name"),
        (
            json!({"Name": "web", "Port": "80"}),
            "Request decode failed: ",
        ),
        (
            json!({"Name": "web", "Port": 70_000}),
            "Request decode failed: ",
        ),
        (
            json!({"Name": "web", "Address": "0.0.0.0"}),
            "Invalid service address",
        ),
        (
            json!({"Name": "web", "Address": "169.254.169.254"}),
            "metadata",
        ),
        (
            json!({"Name": "web", "Weights": {"Passing": 0}}),
            "Invalid Weight",
        ),
        (
            json!({"Name": "web", "Kind": "connect-proxy"}),
            "`kind` is not supported",
        ),
        (
            with_check(json!({"Name": "x"})),
            "Invalid check: an HTTP, a TCP or a TTL",
        ),
        (
            with_check(json!({"TTL": "1s", "TCP": "h:1"})),
            "only one of",
        ),
        (
            with_check(json!({"TTL": "soon"})),
            "invalid duration \"soon\"",
        ),
        (with_check(json!({"TTL": "-1s"})), "invalid duration"),
        (
            with_check(json!({"HTTP": "http://h"})),
            "Interval must be > 0",
        ),
        (
            with_check(json!({"TTL": "1s", "Status": "ok"})),
            "Status for checks must",
        ),
        (
            with_check(json!({"Args": ["rm"], "Interval": "1s"})),
            "`args` is not supported",
        ),
        (
            with_check(json!({"GRPC": "h:1", "Interval": "1s"})),
            "`grpc` is not supported",
        ),
        (
            with_check(json!({"DockerContainerID": "x", "Interval": "1s"})),
            "`dockercontainerid`",
        ),
        (
            with_check(json!({"HTTP": "http://h", "Interval": "1s", "TLSSkipVerify": true})),
            "`tlsskipverify` is not supported",
        ),
    ] {
        let answer = client.put("/v1/agent/service/register", &body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{body}: {}",
            answer.text
        );
        assert!(answer.text.contains(text), "{body}: {}", answer.text);
    }
    let broken = client
        .call("PUT", "/v1/agent/service/register", "{".to_owned())
        .await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert!(
        broken.text.starts_with("Request decode failed: "),
        "{}",
        broken.text
    );
    let large = client
        .call("PUT", "/v1/agent/service/register", "x".repeat(1 << 20))
        .await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told_with_consuls_words() {
    let client = Client::new().await;
    client
        .register(&json!({"ID": "web-1", "Name": "web", "Check":
        {"TCP": "127.0.0.1:1", "Interval": "1h"}}))
        .await;
    let unknown = "Ensure that the check ID is passed, not the check name.";
    for (path, body, status, text) in [
        (
            "/v1/agent/service/deregister/web",
            json!(null),
            404,
            "Unknown service ID \"web\". \
          Ensure that the service ID is passed, not the service name.",
        ),
        ("/v1/agent/check/pass/web", json!(null), 404, unknown),
        ("/v1/agent/check/deregister/web", json!(null), 404, unknown),
        (
            "/v1/agent/check/update/web",
            json!({"Status": "passing"}),
            404,
            unknown,
        ),
        (
            "/v1/agent/check/update/web",
            json!({"Status": "fine"}),
            400,
            "Invalid check status",
        ),
        (
            "/v1/agent/check/warn/service:web-1",
            json!(null),
            404,
            "does not have associated TTL",
        ),
        (
            "/v1/agent/check/register",
            json!({"Name": "x", "TTL": "1s"}),
            400,
            "Missing ServiceID",
        ),
        (
            "/v1/agent/check/register",
            json!({"Name": "x", "TTL": "1s", "ServiceID": "y"}),
            400,
            "ServiceID \"y\" does not exist",
        ),
    ] {
        let answer = client.put(path, &body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(text), "{path}: {}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_met_truthfully_is_refused() {
    let client = Client::new().await;
    for (query, status, text) in [
        ("index=x", 400, "Invalid index"),
        ("index=1&wait=soon", 400, "Invalid wait time"),
        ("passing=maybe", 400, "Invalid value for ?passing"),
        (
            "filter=Service.Nope==1",
            400,
            "Failed to create boolean expression evaluator: Selector \"Service.Nope\" is not valid",
        ),
        ("dc=elsewhere", 500, "No path to datacenter"),
    ] {
        let answer = client.get(&format!("/v1/health/service/web?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (status, text),
            "{query}"
        );
    }
    let answer = client
        .get("/v1/health/service/web?dc=dc1&stale&near=_agent&cached")
        .await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!([])));
}
