//! Redis goes away while products read through it, and the gateway counts and keeps answers there: no
//! request fails for it, limits stay within twice the rate, nobody reads what was before a change, and
//! it is used again without a restart.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ieum_testkit::engines::Redis;
use ieum_testkit::{Load, Process, Request, Running, TempFolder, binary, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON, address};

const RATE: u32 = 100;
const BURST: u32 = 10;

/// A shop's catalogue behind a gateway, and the Redis that both use.
struct World {
    redis: Redis,
    platform: Platform,
    products: String,
    product: String,
    _service: Process,
    _folder: TempFolder,
}

impl World {
    fn start() -> Result<Self> {
        // It keeps nothing over a restart: what is there afterwards was filled in again.
        let redis = Redis::with(&[("appendonly", "no")])?;
        let routes = format!(
            "[limits]\nurl-file = \"redis.url\"\n\n[cache]\nurl-file = \"redis.url\"\n\n{}{}{}",
            route("open", ""),
            route(
                "limited",
                &format!("rate-limit = {{ requests = {RATE}, burst = {BURST}, by = \"route\" }}\n")
            ),
            route("kept", "cache = { ttl = \"1h\" }\n"),
        );
        let platform = Platform::start_with(&routes, &[("redis.url", &redis.url())])?;
        let (folder, products) = (TempFolder::new()?, address()?);
        let mut serve = Command::new(binary("shop")?);
        serve.args(["serve", "products", "--listen", &products, "--data"]);
        serve.arg(folder.path());
        serve.args(["--platform", &format!("http://{}", platform.api)]);
        let service = Process::start(serve.env("SHOP_CACHE_URL", redis.url()))?;
        let put = json!({ "name": "가방", "price": 1, "stock": 3 });
        let put = staff("POST", "/products").json(&put);
        let made = eventually("the service", SOON, || put.send(&products).ok());
        let made = made.with_context(|| service.output())?.expect(201)?;
        let product = made["id"].as_str().context("an id")?.to_owned();
        let world = Self {
            redis,
            platform,
            products,
            product,
            _service: service,
            _folder: folder,
        };
        let known = || (world.price("open").ok()? == 1).then_some(());
        eventually("the gateway knows the service", SOON, known)?;
        Ok(world)
    }

    fn get(&self, route: &str) -> Request {
        Request::new("GET", &format!("/{route}/{}", self.product))
    }

    fn price(&self, route: &str) -> Result<i64> {
        let product = self.platform.send(&self.get(route))?.expect(200)?;
        product["price"].as_i64().context("a price")
    }

    /// Changes the price, which whoever asks from then on must be told.
    fn change(&self, price: i64) -> Result<()> {
        let change = staff("PATCH", &format!("/products/{}", self.product));
        change
            .json(&json!({ "price": price }))
            .send(&self.products)?
            .expect(200)?;
        for _ in 0..20 {
            assert_eq!(self.price("open")?, price, "after the change was answered");
        }
        Ok(())
    }

    /// How many requests the limited route admits in about a second, as a share of what it should.
    fn admitted(&self) -> Result<f64> {
        let (begun, mut admitted) = (now(), 0_u32);
        while begun.elapsed() < Duration::from_secs(1) {
            let status = self.platform.send(&self.get("limited"))?.status;
            ensure!(status == 200 || status == 429, "{status}");
            admitted += u32::from(status == 200);
        }
        let most = f64::from(BURST) + f64::from(RATE) * begun.elapsed().as_secs_f64();
        Ok(f64::from(admitted) / most)
    }

    /// Requests on routes without a limit, one after the other, for as long as the test likes.
    fn load(&self) -> Result<Running> {
        Load {
            address: self.platform.gateway.clone(),
            requests: vec![self.get("open"), self.get("kept")],
            rate: 100.0,
            connections: 4,
            excused: None,
        }
        .start()
    }

    /// Whether Redis has keys of each kind.
    fn is_filled(&self) -> Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis.port()))?;
        stream.set_read_timeout(Some(SOON))?;
        let url = self.redis.url();
        let password = url.split([':', '@']).nth(2).context("a password")?;
        let password = password.replace("%2F", "/");
        write!(stream, "AUTH {password}\r\nKEYS *\r\nQUIT\r\n")?;
        let mut keys = String::new();
        stream.read_to_string(&mut keys)?;
        let kinds = ["-cache-products:", "-cache-gateway:answer:", "-limit-"];
        Ok(kinds.iter().all(|kind| keys.contains(kind)))
    }

    /// Waits until what was asked for is in Redis again.
    fn refills(&self) -> Result<()> {
        eventually("Redis is used again", SOON, || {
            let _ = self.price("open");
            let _ = self.price("kept");
            let _ = self.platform.send(&self.get("limited"));
            self.is_filled().ok().filter(|filled| *filled)
        })
        .map(drop)
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a real process")]
fn now() -> Instant {
    Instant::now()
}

fn route(name: &str, more: &str) -> String {
    format!(
        "[[gateway.routes]]\nname = \"{name}\"\npath = \"/{name}\"\nservice = \"products\"\n\
         rewrite = \"/products\"\nauth = \"none\"\n{more}\n"
    )
}

fn staff(method: &str, target: &str) -> Request {
    Request::new(method, target)
        .header("x-user-id", "u-1")
        .header("x-user-roles", "admin")
}

/// All were answered 200, and nobody waited for Redis for longer than a moment.
fn check(load: Running) -> Result<()> {
    let tally = load.stop();
    tally.check()?;
    assert!(tally.total() > 100, "{tally:?}");
    assert_eq!(
        tally.answered.keys().copied().collect::<Vec<_>>(),
        [200],
        "{tally:?}"
    );
    assert!(tally.slowest < Duration::from_secs(1), "{tally:?}");
    Ok(())
}

#[test]
fn no_request_fails_while_redis_is_killed_and_it_is_used_again() -> Result<()> {
    let mut world = World::start()?;
    world.refills()?;
    let with = world.admitted()?;
    assert!(
        (0.5..=1.05).contains(&with),
        "with Redis: {with:.2} of the rate"
    );

    let load = world.load()?;
    world.redis.kill()?;
    world.change(2)?;
    let without = world.admitted()?;
    assert!(
        (0.5..=2.0).contains(&without),
        "without it: {without:.2} of the rate"
    );
    world.change(3)?;

    world.redis.start_again()?;
    world.refills()?;
    world.change(4)?;
    let again = world.admitted()?;
    assert!(
        (0.5..=2.0).contains(&again),
        "with it again: {again:.2} of the rate"
    );
    eprintln!("admitted of the rate: {with:.2} with, {without:.2} without, {again:.2} again");
    check(load)
}

/// A server that stands still keeps its connections, and answers nothing until it goes on.
#[test]
fn no_request_waits_while_redis_stands_still() -> Result<()> {
    let world = World::start()?;
    world.refills()?;
    let load = world.load()?;
    world.redis.freeze()?;
    world.change(2)?;
    let without = world.admitted()?;
    assert!((0.5..=2.0).contains(&without), "{without:.2} of the rate");
    world.redis.thaw()?;
    world.change(3)?;
    world.refills()?;
    world.change(4)?;
    check(load)
}

#[test]
fn a_password_that_redis_refuses_is_one_clear_error() -> Result<()> {
    let redis = Redis::with(&[("appendonly", "no")])?;
    let url = format!("redis://:hunter2@127.0.0.1:{}", redis.port());
    for section in ["limits", "cache"] {
        let folder = TempFolder::new()?;
        folder.write("redis.url", &url)?;
        let config = format!("[{section}]\nurl-file = \"redis.url\"\n");
        folder.write(
            "ieum.toml",
            crate::platform::configuration(&address()?, &address()?, &config),
        )?;
        let mut up = Command::new(binary("ieum")?);
        let output = up
            .args(["up", "-c", "ieum.toml"])
            .current_dir(folder.path())
            .output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success(), "{said}");
        let shown = format!("redis://:***@127.0.0.1:{}", redis.port());
        assert!(
            said.contains(&shown) && said.contains("password is wrong"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    Ok(())
}

#[test]
fn a_change_through_the_gateway_is_read_there_at_once() -> Result<()> {
    let world = World::start()?;
    assert_eq!(world.price("kept")?, 1);
    let kept = || {
        let again = world.platform.send(&world.get("kept")).ok()?;
        again.get("cache-status").map(str::to_owned)
    };
    let said = eventually("the answer is kept", SOON, kept)?;
    assert_eq!(said, "ieum; hit");
    // Refused by the service, but nobody knows that beforehand: a caller's error changes nothing.
    let change = Request::new("PATCH", &format!("/kept/{}", world.product));
    let refused = world.platform.send(&change.json(&json!({ "price": 9 })))?;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    let still: Value = world.platform.send(&world.get("kept"))?.expect(200)?;
    assert_eq!(still["price"], 1);
    Ok(())
}
