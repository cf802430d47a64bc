//! Stopping under load: no request that was accepted is lost, and nobody is answered 5xx.
//!
//! One round each by default; `IEUM_SHUTDOWN_ROUNDS=20` is the whole proof.

use std::collections::VecDeque;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Load, Process, Reply, Request, Running, Stub, TempFolder, binary, eventually};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON, address};

const KEY: &str = "a-key-of-at-least-thirty-two-bytes!!";
/// What the gateway answers while a service has no instance.
const NO_INSTANCE: &str = "IEUM-1040";
const SERVICES: [&str; 8] = [
    "users",
    "orders",
    "payments",
    "notifications",
    "products",
    "inventory",
    "shipping",
    "analytics",
];
const RATE: f64 = 500.0;
const CONNECTIONS: u32 = 48;

/// The drain's deadlines are far above what a stop under this load takes.
const SETTINGS: &str = "[gateway.timeouts]\ndrain = \"10s\"\n";

fn rounds() -> usize {
    let rounds = std::env::var("IEUM_SHUTDOWN_ROUNDS").ok();
    rounds.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Waits until `more` requests were answered, so that the load is under way.
fn wait_for_answers(load: &Running, more: usize) -> Result<()> {
    let before = load.so_far().total();
    eventually("answers", SOON, || {
        (load.so_far().total() >= before + more).then_some(())
    })
}

fn load_on(address: &str, requests: Vec<Request>) -> Result<Running> {
    Load {
        address: address.to_owned(),
        requests,
        rate: RATE,
        connections: CONNECTIONS,
        excused: Some(NO_INSTANCE),
    }
    .start()
}

/// A service whose answers take a moment, so that requests are in flight at any time.
fn slow_stub() -> Result<Stub> {
    Stub::start(|request| {
        std::thread::park_timeout(Duration::from_millis(25));
        Reply::json_of(200, &json!({ "got": request.body.len() }))
    })
}

/// A platform in front of `upstream` that lingers for `linger`.
fn gateway(upstream: &str, linger: &str) -> Result<Platform> {
    let route = format!(
        "[[gateway.routes]]\nname = \"r\"\npath = \"/\"\nurl = \"http://{upstream}\"\nauth = \"none\"\n"
    );
    Platform::start_lingering(&format!("{SETTINGS}\n{route}"), linger)
}

#[test]
fn a_gateway_that_is_stopped_under_load_loses_no_request() -> Result<()> {
    let upstream = slow_stub()?;
    for round in 0..rounds() {
        let mut platform = gateway(&upstream.address(), "300ms")?;
        let get = Request::new("GET", "/things");
        let post = Request::new("POST", "/things").json(&json!({ "name": "이음" }));
        let load = load_on(&platform.gateway, vec![get.clone(), post, get])?;
        wait_for_answers(&load, 200)?;
        platform.process.terminate()?;
        let status = platform.process.wait(Duration::from_secs(10))?;
        let (tally, output) = (load.stop(), platform.process.output());
        tally
            .check()
            .with_context(|| format!("round {round}\n{output}"))?;
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(!output.contains("abandoned"), "{output}");
    }
    Ok(())
}

#[test]
fn a_gateway_says_that_it_is_stopping_before_it_stops() -> Result<()> {
    let upstream = slow_stub()?;
    let mut platform = gateway(&upstream.address(), "2s")?;
    platform.process.terminate()?;
    let health = eventually("/health says so", SOON, || {
        let reply = Request::new("GET", "/health").send(&platform.api).ok()?;
        (reply.status == 503).then(|| reply.json().ok()).flatten()
    })?;
    assert_eq!(health["status"], "stopping");
    let reply = platform.send(&Request::new("GET", "/x"))?;
    assert_eq!(reply.status, 200, "it still takes requests");
    assert_eq!(platform.process.wait(SOON)?.code(), Some(0));
    Ok(())
}

#[test]
fn ctrl_c_does_not_linger_and_a_second_signal_does_not_wait() -> Result<()> {
    let upstream = slow_stub()?;
    let mut platform = gateway(&upstream.address(), "1h")?;
    platform.process.interrupt()?;
    assert_eq!(platform.process.wait(SOON)?.code(), Some(0));
    let mut platform = gateway(&upstream.address(), "1h")?;
    platform.process.terminate()?;
    platform
        .process
        .wait_for(SOON, |line| line.contains("stopping").then_some(()))?;
    platform.process.terminate()?;
    assert_eq!(platform.process.wait(SOON)?.code(), Some(130));
    Ok(())
}

/// One instance of a service of the shop, with a database of its own.
struct Instance {
    process: Process,
    service: &'static str,
    address: String,
}

impl Instance {
    fn start(
        platform: &Platform,
        folder: &TempFolder,
        service: &'static str,
        listen: &str,
    ) -> Result<Self> {
        let file = listen.replace(':', "-");
        let database = format!("sqlite://{service}-{file}.db");
        let url = format!("http://{}", platform.api);
        let mut command = Command::new(binary("shop")?);
        command
            .args(["serve", service, "--listen", listen, "--platform", &url])
            .args(["--database", &database])
            .current_dir(folder.path());
        let mut process = Process::start(&mut command)?;
        let ready = eventually("an instance passes its check", SOON, || {
            let passing = platform
                .get(&format!("/v1/health/service/{service}?passing"))
                .ok();
            let is_there = passing.is_some_and(|list| is_listed(&list, listen));
            (is_there || process.has_ended()).then_some(is_there)
        });
        ensure!(ready.is_ok_and(|ready| ready), "{}", process.output());
        Ok(Self {
            process,
            service,
            address: listen.to_owned(),
        })
    }

    /// Stops it under `load`, and starts it again.
    fn renew(self, platform: &Platform, folder: &TempFolder, load: &Running) -> Result<Self> {
        let Self {
            mut process,
            service,
            address,
        } = self;
        process.terminate()?;
        let status = process.wait(SOON)?;
        let output = process.output();
        ensure!(status.code() == Some(0), "{service}: {status}\n{output}");
        let so_far = load.so_far().check();
        so_far.with_context(|| format!("{service} was stopped\n{output}"))?;
        let renewed = Self::start(platform, folder, service, &address)?;
        wait_for_answers(load, 100)?;
        Ok(renewed)
    }
}

fn is_listed(list: &Value, listen: &str) -> bool {
    let entries = list.as_array().into_iter().flatten();
    let ports = entries.map(|entry| entry["Service"]["Port"].to_string());
    ports
        .into_iter()
        .any(|port| listen.ends_with(&format!(":{port}")))
}

/// A platform with a route to `products` and a token that may write there.
fn products() -> Result<(Platform, String)> {
    let routes = format!(
        "{SETTINGS}\n[gateway.jwt]\nkeys = [{{ kid = \"test\", algorithm = \"HS256\", secret-file = \
         \"jwt.key\" }}]\n\n[[gateway.routes]]\nname = \"products\"\npath = \"/products\"\n\
         service = \"products\"\nauth = \"jwt\"\n"
    );
    let platform = Platform::start_with(&routes, &[("jwt.key", KEY)])?;
    let header = Header {
        kid: Some("test".to_owned()),
        ..Header::default()
    };
    let claims = json!({ "userId": "u-1", "roles": ["admin"], "exp": 4_102_444_800_i64 });
    let token = encode(&header, &claims, &EncodingKey::from_secret(KEY.as_bytes()))?;
    Ok((platform, token))
}

#[test]
fn a_service_with_another_instance_is_stopped_under_load_and_nobody_notices() -> Result<()> {
    let (platform, token) = products()?;
    let folder = TempFolder::new()?;
    let mut instances = VecDeque::new();
    for _ in 0..2 {
        let listen = address()?;
        instances.push_back(Instance::start(&platform, &folder, "products", &listen)?);
    }
    let get = Request::new("GET", "/products?limit=1").bearer(&token);
    let product = json!({ "name": "운동화", "price": 100, "currency": "KRW", "stock": 1 });
    let post = Request::new("POST", "/products")
        .bearer(&token)
        .json(&product);
    let load = load_on(&platform.gateway, vec![get.clone(), post, get.clone(), get])?;
    wait_for_answers(&load, 200)?;
    for _ in 0..2 * rounds() {
        let oldest = instances.pop_front().context("two instances")?;
        instances.push_back(oldest.renew(&platform, &folder, &load)?);
    }
    let tally = load.stop();
    tally.check()?;
    assert!(tally.answered.contains_key(&201), "{tally:?}");
    assert_eq!(tally.excused, 0, "there was always an instance: {tally:?}");
    Ok(())
}

/// In CI three of them are stopped; the whole proof stops each, as often as it is asked to.
#[test]
fn each_service_is_stopped_in_turn_and_only_its_absence_is_seen() -> Result<()> {
    let routes: String = SERVICES
        .iter()
        .map(|name| {
            format!(
                "[[gateway.routes]]\nname = \"{name}\"\npath = \"/{name}\"\nservice = \"{name}\"\n\
                 auth = \"none\"\n\n"
            )
        })
        .collect();
    let platform = Platform::start(&format!("{SETTINGS}\n{routes}"))?;
    let folder = TempFolder::new()?;
    let mut instances = VecDeque::new();
    for service in SERVICES {
        instances.push_back(Instance::start(&platform, &folder, service, &address()?)?);
    }
    // Answered by the service itself, with a 404, or a 401 because nobody says who asks.
    let ask = |name: &&str| Request::new("GET", &format!("/{name}/no-such-path"));
    let load = load_on(&platform.gateway, SERVICES.iter().map(ask).collect())?;
    wait_for_answers(&load, 200)?;
    let stops = match rounds() {
        1 => 3,
        rounds => rounds * SERVICES.len(),
    };
    for _ in 0..stops {
        let oldest = instances.pop_front().context("an instance")?;
        instances.push_back(oldest.renew(&platform, &folder, &load)?);
    }
    let tally = load.stop();
    tally.check()?;
    assert!(tally.excused > 0, "nobody was ever absent: {tally:?}");
    Ok(())
}

#[test]
fn a_deregistration_reaches_the_gateway_long_before_the_service_stops_accepting() -> Result<()> {
    let gone = Stub::start(|_| Reply::json_of(200, &json!({ "from": "gone" })))?;
    let stays = Stub::start(|_| Reply::json_of(200, &json!({ "from": "stays" })))?;
    let route =
        "[[gateway.routes]]\nname = \"r\"\npath = \"/\"\nservice = \"s\"\nauth = \"none\"\n";
    let platform = Platform::start(route)?;
    platform.register("s", "s-1", &gone.address())?;
    platform.register("s", "s-2", &stays.address())?;
    let load = load_on(&platform.gateway, vec![Request::new("GET", "/")])?;
    eventually("both are used", SOON, || {
        (!gone.requests().is_empty() && !stays.requests().is_empty()).then_some(())
    })?;
    let deregister = Request::new("PUT", "/v1/agent/service/deregister/s-1");
    deregister.send(&platform.api)?.expect(200)?;
    let answered = now();
    eventually("no request more for the one that left", SOON, || {
        let before = gone.requests().len();
        std::thread::park_timeout(Duration::from_millis(30));
        (gone.requests().len() == before).then_some(())
    })?;
    let took = answered.elapsed();
    load.stop().check()?;
    // A service lingers for at least a second.
    assert!(took < Duration::from_millis(700), "{took:?}");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "black-box tests measure real time"
)]
fn now() -> Instant {
    Instant::now()
}
