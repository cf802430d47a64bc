//! The registry as a client of Consul sees it.

use anyhow::Result;
use ieum_testkit::{Reply, Request, Stub, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON};

#[test]
fn an_instance_that_answers_its_check_passes_and_one_that_does_not_fails() -> Result<()> {
    let platform = Platform::start("")?;
    let healthy = Stub::start(|_| Reply::json_of(200, &json!({ "status": "healthy" })))?;
    let failing = Stub::start(|_| Reply::json_of(503, &json!({ "status": "degraded" })))?;
    for (id, stub) in [("users-1", &healthy), ("users-2", &failing)] {
        let body = json!({
            "Name": "users", "ID": id, "Address": "127.0.0.1", "Port": stub.port(),
            "Check": { "HTTP": format!("http://{}/health", stub.address()), "Interval": "1s" }
        });
        let register = Request::new("PUT", "/v1/agent/service/register").json(&body);
        register.send(&platform.api)?.expect(200)?;
    }
    let passing = |platform: &Platform| -> Option<Vec<String>> {
        let list = platform.get("/v1/health/service/users?passing").ok()?;
        let ids = list
            .as_array()?
            .iter()
            .map(|entry| entry["Service"]["ID"].as_str());
        ids.map(|id| id.map(str::to_owned)).collect()
    };
    eventually("users-1 passes", SOON, || {
        (passing(&platform)? == ["users-1"]).then_some(())
    })?;
    let all = platform.get("/v1/health/service/users")?;
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_blocking_query_answers_when_the_service_changes() -> Result<()> {
    let platform = Platform::start("")?;
    platform.register("orders", "orders-1", "127.0.0.1:1")?;
    let first = Request::new("GET", "/v1/health/service/orders").send(&platform.api)?;
    let index = first.get("x-consul-index").unwrap_or_default().to_owned();
    let api = platform.api.clone();
    let waiting = std::thread::spawn(move || {
        let target = format!("/v1/health/service/orders?index={index}&wait=30s");
        Request::new("GET", &target)
            .send(&api)
            .and_then(|reply| reply.expect(200))
    });
    platform.register("users", "users-1", "127.0.0.1:2")?;
    platform.register("orders", "orders-2", "127.0.0.1:3")?;
    let seen = waiting
        .join()
        .map_err(|_| anyhow::anyhow!("the waiting thread panicked"))??;
    assert_eq!(seen.as_array().map(Vec::len), Some(2), "{seen}");
    Ok(())
}

#[test]
fn registrations_survive_kill_9() -> Result<()> {
    let mut platform = Platform::start("")?;
    platform.register("users", "users-1", "127.0.0.1:4001")?;
    platform.process.kill()?;
    platform.restart()?;
    let services = platform.get("/v1/agent/services")?;
    assert_eq!(services["users-1"]["Port"], 4001);
    let gone = Request::new("PUT", "/v1/agent/service/deregister/users-1").send(&platform.api)?;
    gone.expect(200)?;
    assert_eq!(
        platform.get("/v1/health/service/users")?,
        Value::Array(Vec::new())
    );
    Ok(())
}

#[test]
fn a_ttl_check_is_critical_until_the_instance_reports() -> Result<()> {
    let platform = Platform::start("")?;
    let body = json!({
        "Name": "mail", "ID": "mail-1", "Address": "127.0.0.1", "Port": 9,
        "Check": { "TTL": "60s" }
    });
    let register = Request::new("PUT", "/v1/agent/service/register").json(&body);
    register.send(&platform.api)?.expect(200)?;
    let passing = || platform.get("/v1/health/service/mail?passing");
    assert_eq!(passing()?.as_array().map(Vec::len), Some(0));
    let pass = Request::new("PUT", "/v1/agent/check/pass/service:mail-1");
    pass.send(&platform.api)?.expect(200)?;
    assert_eq!(passing()?.as_array().map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn a_script_check_is_refused() -> Result<()> {
    let platform = Platform::start("")?;
    let body = json!({ "Name": "x", "Check": { "Args": ["/bin/true"], "Interval": "1s" } });
    let reply = Request::new("PUT", "/v1/agent/service/register")
        .json(&body)
        .send(&platform.api)?;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(platform.get("/v1/agent/services")?, json!({}));
    Ok(())
}
