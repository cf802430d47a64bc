//! Filters, nodes, maintenance and what can be waited for, as a client sees them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::tests::Client;

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
