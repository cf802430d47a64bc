//! Clients of Consul, unmodified, against the platform: npm `consul` and PyPI `py-consul`.
//!
//! What they do and must be answered stands in `tests/clients/consul/`; the versions are pinned
//! there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ieum_testkit::{Process, Reply, Request, Stub, eventually};
use serde_json::{Value, json};

use crate::packages;
use crate::platform::{Platform, SOON};

/// A registry that lets the tests be short; Consul's least times are a matter of its configuration.
const SHORT: &str = "[registry.checks]\nleast-deregister-after = \"2s\"\n\n[registry.kv]\nleast-session-ttl = \"1s\"\n";

/// How long a whole client may take.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn the_npm_client_registers_filters_watches_and_locks() -> Result<()> {
    let platform = Platform::start("")?;
    let (host, port) = host_and_port(&platform.api);
    let mut client = node(&["api", host, port])?;
    let steps = ended_well(&mut client)?;
    let expected = [
        "agent",
        "services",
        "filters",
        "checks",
        "maintenance",
        "external",
        "watch",
        "keys",
        "sessions",
    ];
    assert_eq!(steps, json!(expected));
    Ok(())
}

#[test]
fn the_python_client_registers_filters_watches_and_locks() -> Result<()> {
    let platform = Platform::start("")?;
    let (host, port) = host_and_port(&platform.api);
    let mut command = packages::python("consul", "client.py")?;
    let mut client = Process::start(command.args([host, port]))?;
    let steps = ended_well(&mut client)?;
    let expected = [
        "services",
        "filters",
        "checks",
        "maintenance",
        "external",
        "watch",
        "keys",
        "sessions",
    ];
    assert_eq!(steps, json!(expected));
    Ok(())
}

#[test]
fn the_gateway_balances_over_a_node_service_and_leaves_a_dead_instance_in_time() -> Result<()> {
    let route = "[[gateway.routes]]\nname = \"hello\"\npath = \"/hello\"\nservice = \"hello\"\nauth = \"none\"\nbalance = \"round-robin\"\n";
    let platform = Platform::start(route)?;
    let (host, port) = host_and_port(&platform.api);
    let one = node(&["serve", host, port, "hello", "hello-1"])?;
    let mut two = node(&["serve", host, port, "hello", "hello-2"])?;
    one.wait_for(SOON, ready)?;
    let dead = two.wait_for(SOON, ready)?;
    let endpoints = || endpoints(&platform, "hello");
    eventually("both pass their checks", SOON, || {
        (endpoints() == Some(2)).then_some(())
    })?;
    let hello = Request::new("GET", "/hello");
    let by = || -> Result<Value> { Ok(platform.send(&hello)?.expect(200)?["id"].clone()) };
    let answered = (0..40).map(|_| by()).collect::<Result<Vec<Value>>>()?;
    for id in ["hello-1", "hello-2"] {
        assert!(answered.contains(&json!(id)), "{id} got nothing");
    }
    two.kill()?;
    let died = now();
    let failed = std::cell::Cell::new(0_u32);
    let left = eventually("the dead instance is left", SOON, || {
        // Requests go on meanwhile: another instance answers what the dead one cannot.
        failed.set(failed.get() + u32::from(by().is_err()));
        (endpoints() == Some(1)).then(|| died.elapsed())
    })?;
    // The check registered an interval of 1 s and a timeout of 500 ms; one failure is critical.
    let bound = Duration::from_millis(1_000 + 500 + 100);
    println!("the dead instance was left after {left:?}, at most {bound:?}");
    assert!(left <= bound, "left after {left:?}, later than {bound:?}");
    assert_eq!(failed.get(), 0, "a client noticed the death");
    // Whoever takes the dead one's address is asked for its health, and for nothing else.
    let heir = Stub::at(&format!("127.0.0.1:{dead}"), |_| {
        Reply::json_of(503, &json!({}))
    })?;
    for _ in 0..40 {
        assert_eq!(by()?, "hello-1");
    }
    let asked = heir.requests();
    assert!(
        asked.iter().all(|request| request.target == "/health"),
        "{asked:?}"
    );
    Ok(())
}

#[test]
fn an_instance_that_is_critical_for_too_long_is_deregistered() -> Result<()> {
    let platform = Platform::start(SHORT)?;
    let body = json!({
        "Name": "gone", "ID": "gone-1", "Address": "127.0.0.1", "Port": 9,
        "Checks": [
            { "CheckID": "alive", "TTL": "60s", "Status": "passing" },
            { "CheckID": "port", "TCP": "127.0.0.1:9", "Interval": "200ms", "Timeout": "100ms",
              "DeregisterCriticalServiceAfter": "100ms" },
        ]
    });
    let register = Request::new("PUT", "/v1/agent/service/register").json(&body);
    register.send(&platform.api)?.expect(200)?;
    let registered = now();
    assert!(platform.get("/v1/agent/services")?["gone-1"].is_object());
    eventually("it is deregistered", SOON, || {
        let services = platform.get("/v1/agent/services").ok()?;
        (services == json!({})).then_some(())
    })?;
    assert!(
        registered.elapsed() >= Duration::from_secs(2),
        "below the least"
    );
    assert_eq!(platform.get("/v1/agent/checks")?, json!({}));
    Ok(())
}

#[test]
fn an_http_check_sends_what_was_registered() -> Result<()> {
    let platform = Platform::start("")?;
    let checked = Stub::start(|request| {
        let right = request.method == "POST"
            && request.get("x-probe") == Some("canary")
            && request.body == b"how are you";
        Reply::json_of(if right { 200 } else { 500 }, &json!({}))
    })?;
    let body = json!({
        "Name": "asked", "Check": {
            "HTTP": format!("http://{}/health", checked.address()), "Method": "POST",
            "Header": { "X-Probe": ["canary"] }, "Body": "how are you", "Interval": "1s"
        }
    });
    let register = Request::new("PUT", "/v1/agent/service/register").json(&body);
    register.send(&platform.api)?.expect(200)?;
    eventually("the check passes", SOON, || {
        let passing = platform.get("/v1/health/service/asked?passing").ok()?;
        (passing.as_array()?.len() == 1).then_some(())
    })?;
    let told = platform.get("/v1/health/checks/asked")?.to_string();
    assert!(!told.contains("canary"), "a field may be a secret: {told}");
    Ok(())
}

#[test]
fn keys_locks_sessions_checks_and_nodes_survive_kill_9() -> Result<()> {
    let mut platform = Platform::start(SHORT)?;
    let put = |platform: &Platform, target: &str, body: &Value| {
        let request = Request::new("PUT", target).json(body);
        request.send(&platform.api)?.expect(200)
    };
    let session = put(&platform, "/v1/session/create", &json!({ "TTL": "60s" }))?;
    let session = session["ID"].as_str().context("an id")?.to_owned();
    let take = format!("/v1/kv/leader?acquire={session}");
    assert_eq!(put(&platform, &take, &json!("me"))?, true);
    put(&platform, "/v1/kv/gone", &json!(1))?;
    Request::new("DELETE", "/v1/kv/gone").send(&platform.api)?;
    let node = json!({ "Node": "partner", "Address": "10.0.0.7",
                       "Service": { "Service": "db", "Port": 5432 } });
    put(&platform, "/v1/catalog/register", &node)?;
    let web = json!({ "Name": "web", "Checks": [{ "CheckID": "a", "TTL": "60s" },
                                               { "CheckID": "b", "TTL": "60s" }] });
    put(&platform, "/v1/agent/service/register", &web)?;
    put(&platform, "/v1/agent/check/pass/a", &Value::Null)?;
    let paths = [
        "/v1/kv/leader",
        "/v1/session/list",
        "/v1/catalog/node/partner",
        "/v1/health/checks/web",
    ];
    let see = |platform: &Platform| -> Result<Vec<Value>> {
        paths.iter().map(|path| platform.get(path)).collect()
    };
    let before = see(&platform)?;
    let gone = Request::new("GET", "/v1/kv/gone").send(&platform.api)?;
    let index = gone.get("x-consul-index").context("an index")?.to_owned();
    platform.process.kill()?;
    platform.restart()?;
    assert_eq!(see(&platform)?, before);
    let again = Request::new("GET", "/v1/kv/gone").send(&platform.api)?;
    assert_eq!(again.get("x-consul-index"), Some(index.as_str()));
    // A watcher of the earlier life, with an index that this one has not reached.
    let begun = now();
    for path in [
        "/v1/kv/leader",
        "/v1/health/service/web",
        "/v1/health/state/any",
        "/v1/session/list",
        "/v1/catalog/nodes",
        "/v1/catalog/services",
    ] {
        platform.get(&format!("{path}?index=999999999&wait=60s"))?;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "a watcher was left hanging"
    );
    Ok(())
}

#[test]
fn the_keys_of_a_client_that_vanished_are_free_again() -> Result<()> {
    let platform = Platform::start(SHORT)?;
    let create = |body: Value| -> Result<String> {
        let request = Request::new("PUT", "/v1/session/create").json(&body);
        let id = request.send(&platform.api)?.expect(200)?["ID"].clone();
        Ok(id.as_str().context("an id")?.to_owned())
    };
    let vanished = create(json!({ "TTL": "1s", "LockDelay": "0s" }))?;
    let other = create(json!({ "TTL": "60s" }))?;
    let take = |session: &str| {
        let request = Request::new("PUT", &format!("/v1/kv/leader?acquire={session}"));
        request.send(&platform.api)?.expect(200)
    };
    assert_eq!(take(&vanished)?, true);
    assert_eq!(take(&other)?, false);
    eventually("the lock is free", SOON, || {
        take(&other).ok().filter(|taken| *taken == json!(true))
    })?;
    let list = platform.get("/v1/session/list")?;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    Ok(())
}

/// The endpoints of a service that the gateway may send requests to.
fn endpoints(platform: &Platform, service: &str) -> Option<u32> {
    let metrics = Request::new("GET", "/metrics").send(&platform.api).ok()?;
    let name = format!("ieum_discovery_endpoints{{service=\"{service}\"}} ");
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    line.trim().parse().ok()
}

/// The port in the line with which a service says that it is there.
fn ready(line: &str) -> Option<u16> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["ready"].as_u64().and_then(|port| port.try_into().ok())
}

/// Waits for a client's end, and answers the steps that it has gone.
fn ended_well(client: &mut Process) -> Result<Value> {
    let status = client.wait(LONG)?;
    if !status.success() {
        bail!("the client ended with {status}:\n{}", client.output());
    }
    let last: Value = serde_json::from_str(&client.last_line())?;
    Ok(last["steps"].clone())
}

fn host_and_port(address: &str) -> (&str, &str) {
    address.split_once(':').unwrap_or((address, "8500"))
}

/// Starts the npm client.
fn node(arguments: &[&str]) -> Result<Process> {
    Process::start(packages::node("consul", "client.mjs")?.args(arguments))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test measures real time from outside"
)]
fn now() -> Instant {
    Instant::now()
}
