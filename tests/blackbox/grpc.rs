//! gRPC through the gateway, as gRPC's own client sees it: PyPI `grpcio` with its health checking and
//! its reflection, from which it learns of the services (`tests/clients/grpc/`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Request, eventually};
use serde_json::{Value, json};

use crate::platform::SOON;
use crate::shop::Shop;
use crate::{packages, telemetry};

/// How long a client may take.
const LONG: Duration = Duration::from_secs(120);
/// A caller's trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// How long the refusal of a message may take, and by how many KiB the memory may grow for it.
const MOST_MILLISECONDS: f64 = 50.0;
const MOST_GROWTH: u64 = 16 << 10;

/// A shop with a product, two customers, and the first one's token.
struct World {
    shop: Shop,
    product: String,
    user: String,
    other: String,
    token: String,
}

impl World {
    fn start() -> Result<Self> {
        let shop = Shop::start()?;
        let product = shop.product("가죽운동화", 59_000, 10)?;
        let (user, token) = shop.sign_up("kim@example.com", "Kim")?;
        let (other, _) = shop.sign_up("lee@example.com", "Lee")?;
        let id = |user: &Value| user["id"].as_str().map(str::to_owned).context("an id");
        Ok(Self {
            product,
            user: id(&user)?,
            other: id(&other)?,
            token,
            shop,
        })
    }

    /// What `tests/clients/grpc/client.py` says.
    fn client(&self, args: &[&str]) -> Result<Value> {
        let mut client = Process::start(packages::python("grpc", "client.py")?.args(args))?;
        let status = client.wait(LONG)?;
        ensure!(status.success(), "{}", client.output());
        Ok(serde_json::from_str(&client.last_line())?)
    }

    /// How many calls of a service's method ended like this.
    fn counted(&self, service: &str, method: &str, status: &str) -> Result<u64> {
        let metrics = Request::new("GET", "/metrics").send(&self.shop.services[service])?;
        let text = metrics.text();
        let path = format!("path=\"{method}\"");
        let status = format!("grpc_status=\"{status}\"");
        let line = text.lines().find(|line| {
            line.starts_with("api_requests_total{")
                && line.contains(&path)
                && line.contains(&status)
        });
        let number = line.and_then(|line| line.rsplit(' ').next());
        Ok(number.map_or(Ok(0), str::parse)?)
    }
}

#[test]
fn the_client_of_others_is_answered_through_the_gateway() -> Result<()> {
    let world = World::start()?;
    let gateway = world.shop.gateway.as_str();
    let World {
        token,
        user,
        other,
        product,
        ..
    } = &world;
    let calls = world.client(&["calls", gateway, token, user, other, product])?;
    let expected = json!({
        "described": {
            "rule": true,
            "services": [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "shop.users.v1.Users",
            ],
        },
        "me": [true, true],
        "both": [true],
        "stock": 10,
        "listed": true,
        "theirs": "NOT_FOUND NOT_FOUND",
        "forged": "NOT_FOUND NOT_FOUND",
        "forged me": true,
        "taken": "ALREADY_EXISTS EMAIL_TAKEN",
        "all": "PERMISSION_DENIED",
        "no token": "UNAUTHENTICATED",
        "no token, forged": "UNAUTHENTICATED",
        "gzip": "UNIMPLEMENTED",
        "unknown method": "UNIMPLEMENTED",
        "unknown service": "UNIMPLEMENTED",
        "deadline": "DEADLINE_EXCEEDED",
        "cancelled": [true, "CANCELLED"],
        "health": ["SERVING", "SERVING", "NOT_FOUND", "SERVING"],
        "watched": { "names": ["Kim", "Changed"], "end": "OK" },
    });
    assert_eq!(calls, expected, "{calls:#}");
    // Who leaves a stream leaves it at the service, too.
    let watch = "/shop.inventory.v1.Inventory/WatchStock";
    eventually("the service hears of it", SOON, || {
        let left = world.counted("inventory", watch, "CANCELLED").ok()?;
        (left >= 1).then_some(())
    })?;
    let get = "/shop.users.v1.Users/GetUser";
    assert!(world.counted("users", get, "OK")? >= 2);
    Ok(())
}

#[test]
fn a_message_of_100_mib_is_refused_at_once_and_takes_no_memory() -> Result<()> {
    let world = World::start()?;
    let process = world.shop.process.id();
    let large = || world.client(&["large", &world.shop.gateway, &world.token, "100"]);
    // Once before, so that what any first call takes is not counted.
    large()?;
    fs::write(format!("/proc/{process}/clear_refs"), "5")?;
    let before = memory(process, "VmRSS")?;
    let refused = large()?;
    let growth = memory(process, "VmHWM")?.saturating_sub(before);
    println!("100 MiB: {refused}, {growth} KiB");
    assert_eq!(refused["code"], "RESOURCE_EXHAUSTED");
    let took = refused["ms"].as_f64().context("a time")?;
    assert!(took <= MOST_MILLISECONDS, "{took} ms");
    assert!(growth <= MOST_GROWTH, "{growth} KiB");
    Ok(())
}

#[test]
fn curl_calls_the_same_methods_with_json() -> Result<()> {
    let world = World::start()?;
    let World {
        token,
        user,
        other,
        product,
        ..
    } = &world;
    let get = |path: &str| {
        let request = Request::new("GET", path).bearer(token);
        request.header("x-user-id", other).send(&world.shop.gateway)
    };
    let me = get("/api/grpc/users/v1/users/me")?.expect(200)?;
    assert_eq!((&me["id"], &me["name"]), (&json!(user), &json!("Kim")));
    assert!(
        me["createdAt"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{me}"
    );
    let both = format!("/api/grpc/users/v1/users:batchGet?ids={other}&ids={user}");
    assert_eq!(get(&both)?.expect(200)?, json!({ "users": [me] }));

    let theirs = get(&format!("/api/grpc/users/v1/users/{other}"))?.expect(404)?;
    assert_eq!(theirs["grpcStatus"], "NOT_FOUND");
    assert_eq!(theirs["details"][0]["reason"], "NOT_FOUND");
    let anonymous = Request::new("GET", "/api/grpc/users/v1/users/me");
    anonymous.send(&world.shop.gateway)?.expect(401)?;
    let sign_up = |body: &str| {
        let mut request = Request::new("POST", "/api/grpc/users/v1/users");
        request.body = body.into();
        let request = request.header("content-type", "application/json");
        request.send(&world.shop.gateway)
    };
    for wrong in ["{\"email\":", "{\"mail\": \"kim@example.com\"}", "[]"] {
        assert_eq!(sign_up(wrong)?.expect(400)?["code"], "IEUM-1006", "{wrong}");
    }
    let taken = r#"{ "email": "kim@example.com", "name": "K", "password": "correct horse" }"#;
    assert_eq!(sign_up(taken)?.expect(409)?["grpcStatus"], "ALREADY_EXISTS");

    // 64-bit numbers are text in the JSON of protobuf; a rule has a second path.
    let stock = json!({ "productId": product, "available": "10", "reserved": "0" });
    let again = format!("/api/grpc/inventory/v1/products/{product}/stock");
    assert_eq!(get(&again)?.expect(200)?, stock);
    Ok(())
}

#[test]
fn curl_reads_streams_as_lines_and_as_events() -> Result<()> {
    let world = World::start()?;
    let url = |path: &str| format!("http://{}/api/grpc/inventory/v1{path}", world.shop.gateway);
    let all = Command::new("curl")
        .args(["-sS", &url("/stock")])
        .output()?;
    let all = String::from_utf8(all.stdout)?;
    let all = all
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    let ours = json!({ "productId": world.product, "available": "10", "reserved": "0" });
    assert!(all.len() > 1 && all.contains(&ours), "{all:?}");

    let mut curl = Command::new("curl");
    let watch = url(&format!("/stock/{}:watch", world.product));
    let curl = curl.args(["-sS", "-N", "-H", "accept: text/event-stream", &watch]);
    let mut watcher = Process::start(curl)?;
    let sees = |watcher: &Process, available: &str| {
        watcher.wait_for(SOON, |line| {
            let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
            (event["available"] == available).then_some(())
        })
    };
    sees(&watcher, "10")?;
    let order = json!({ "items": [{ "productId": world.product, "quantity": 2 }] });
    world
        .shop
        .post("/api/v1/orders", Some(&world.token), &order)?;
    sees(&watcher, "8")?;
    watcher.kill()?;
    Ok(())
}

/// The gateway asks two subgraphs, and one of them a third service by gRPC: one trace, and each knows
/// on whose behalf it is asked, whatever the caller claims.
#[test]
fn one_trace_and_one_identity_lead_through_the_graph_to_grpc() -> Result<()> {
    let world = World::start()?;
    let World {
        token,
        user,
        other,
        product,
        ..
    } = &world;
    let order = json!({ "items": [{ "productId": product, "quantity": 2 }] });
    let order = world.shop.post("/api/v1/orders", Some(token), &order)?;
    let order = order["id"].as_str().context("an id")?;
    world.shop.finished(order, token)?;
    let query =
        "query ($id: ID!) { user(id: $id) { name orders { items { productId available } } } }";
    let answer = Request::new("POST", "/graphql")
        .bearer(token)
        .header("x-user-id", other)
        .header("x-user-roles", "admin")
        .header("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .json(&json!({ "query": query, "variables": { "id": user } }));
    let answer = eventually("the order is in the list", SOON, || {
        let answer = answer.send(&world.shop.gateway).ok()?.expect(200).ok()?;
        (answer["data"]["user"]["orders"] != json!([])).then_some(answer)
    })?;
    let items = json!([{ "productId": product, "available": 8 }]);
    let told = json!({ "user": { "name": "Kim", "orders": [{ "items": items }] } });
    assert_eq!(answer, json!({ "data": told }));

    let asked = [
        ("gateway", "POST /graphql"),
        ("users", "POST /graphql"),
        ("orders", "POST /graphql"),
        ("inventory", "shop.inventory.v1.Inventory/BatchGetStock"),
    ];
    let asked = asked.map(|(service, name)| (service.to_owned(), name.to_owned()));
    let trace = eventually("one whole trace", SOON, || {
        let trace = telemetry::shown(&world.shop.platform, TRACE).ok()?;
        let seen: BTreeSet<_> = answered(&trace).map(|(at, _)| at).collect();
        (trace["orphans"] == 0 && seen == BTreeSet::from(asked.clone())).then_some(trace)
    })?;
    for ((service, _), whose) in answered(&trace) {
        // The gateway is told by the token and says it to the others.
        let expected = (service != "gateway").then_some(user.as_str());
        assert_eq!(whose.as_deref(), expected, "{service}");
    }
    Ok(())
}

/// The requests that were answered in a trace: by whom, their names, and on whose behalf.
fn answered(trace: &Value) -> impl Iterator<Item = ((String, String), Option<String>)> {
    let spans = trace["spans"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    spans
        .filter(|span| span["kind"] == "server")
        .map(move |span| {
            let attributes = span["attributes"].as_array().into_iter().flatten();
            let whose = attributes.filter(|pair| pair[0] == "enduser.id");
            let whose = whose.map(|pair| text(&pair[1])).next();
            ((text(&span["service"]), text(&span["name"])), whose)
        })
}

#[test]
fn a_stop_ends_what_has_no_end_of_its_own_and_waits_for_nobody() -> Result<()> {
    let mut shop = Shop::start()?;
    let product = shop.product("가죽운동화", 59_000, 10)?;
    let mut watcher = packages::python("grpc", "client.py")?;
    let watcher = watcher.args(["until", &shop.services["inventory"], &product]);
    let mut watcher = Process::start(watcher)?;
    watcher.wait_for(LONG, |line| (line == "watching").then_some(()))?;
    shop.process.terminate()?;
    ensure!(watcher.wait(SOON)?.success(), "{}", watcher.output());
    assert_eq!(watcher.last_line(), "\"UNAVAILABLE\"");
    let ended = shop.process.wait(SOON)?;
    let output = shop.process.output();
    assert_eq!(ended.code(), Some(0), "{output}");
    assert!(!output.contains("abandoned"), "{output}");
    Ok(())
}

/// A figure of the process in KiB.
fn memory(process: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(value.context("a number")?.parse()?)
}
