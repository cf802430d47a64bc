//! Three platforms on one PostgreSQL: each is killed and each is frozen past its lease, in turn, while
//! sagas are started and a service reports that it is alive. All goes on, and nothing happens twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::engines::Postgres;
use ieum_testkit::{Reply, Request, Stub, eventually};
use serde_json::{Value, json};

use super::SLOW;
use crate::platform::Platform;

/// Short leases, so that a takeover is quick; a saga that calls the service `things` twice.
const CONFIG: &str = r#"[log]
url-file = "log.url"

[registry]
lease = "2s"

[sagas.engine]
lease = "2s"

[[sagas.inline]]
name = "twice"
steps = [
    { name = "first", call = { service = "things", method = "POST", path = "/first" }, undo = { service = "things", method = "POST", path = "/undo" } },
    { name = "second", call = { service = "things", method = "POST", path = "/second" }, undo = "none" },
]
"#;

/// How often the service reports to each platform, and how many reports last longer than a lease, the
/// time for another platform to notice that it stands still, and the service's TTL.
const BEAT: Duration = Duration::from_millis(500);
const PAST_THE_LEASE: u64 = 40;

/// What the service was asked to do, by idempotency key: how often, and how often it did it.
type Effects = Arc<Mutex<BTreeMap<String, u64>>>;

/// A service with an inbox: a key that comes again is answered and does nothing.
fn things(effects: &Effects) -> Result<Stub> {
    let effects = Arc::clone(effects);
    Stub::start(move |request| {
        if let Some(key) = request.get("idempotency-key") {
            let mut effects = effects.lock().unwrap_or_else(PoisonError::into_inner);
            *effects.entry(key.to_owned()).or_default() += 1;
        }
        Reply::json_of(200, &json!({}))
    })
}

struct Three {
    platforms: Vec<Platform>,
    started: u64,
}

impl Three {
    fn start(server: &Postgres) -> Result<Self> {
        let url = server.url("ieum");
        let one = || Platform::start_with(CONFIG, &[("log.url", &url)]);
        Ok(Self {
            platforms: vec![one()?, one()?, one()?],
            started: 0,
        })
    }

    /// Those that were not taken down.
    fn besides(&self, down: usize) -> impl Iterator<Item = &Platform> {
        let platforms = self.platforms.iter().enumerate();
        platforms.filter_map(move |(at, platform)| (at != down).then_some(platform))
    }

    /// Starts sagas at all platforms but one, a few at each.
    fn start_sagas(&mut self, down: usize) -> Result<()> {
        for _ in 0..3 {
            let number = self.started;
            let at = (0..self.platforms.len()).filter(|at| *at != down);
            let at: Vec<usize> = at.collect();
            for (more, at) in at.into_iter().enumerate() {
                let key = format!("key-{}", number + more as u64);
                let body = json!({ "definition": "twice", "key": key, "input": {} });
                let api = &self.platforms[at].api;
                eventually("a saga is started", SLOW, || {
                    let start = Request::new("POST", "/api/v1/sagas").json(&body);
                    let reply = start.send(api).ok()?;
                    [200, 201].contains(&reply.status).then_some(())
                })?;
                self.started += 1;
            }
        }
        Ok(())
    }

    /// Waits until all sagas that were started are completed, as one platform sees them.
    fn completed(&self, at: &Platform) -> Result<()> {
        let (mut seen, started) = (Value::Null, self.started);
        let completed = eventually("all sagas are completed", SLOW, || {
            seen = at.get("/api/v1/sagas?state=completed&limit=1000").ok()?;
            let sagas = seen["sagas"].as_array()?;
            (sagas.len() as u64 == started).then_some(())
        });
        completed.with_context(|| {
            let open = at.get("/api/v1/sagas?limit=1000").unwrap_or_default();
            format!("{started} were started; {open}\n{}", at.process.output())
        })
    }
}

/// The service reports to one platform, unless that one runs the checks: what it hears itself is no
/// proof that it asks the others. A platform that is away or frozen holds up no other report.
fn report(api: &str, beats: &AtomicU64) -> Option<()> {
    let found = Request::new("GET", "/api/v1/platforms").send(api).ok()?;
    let found = found.expect(200).ok()?;
    let platforms = found["platforms"].as_array()?;
    if platforms
        .iter()
        .any(|p| p["own"] == true && p["checks"] == true)
    {
        return None;
    }
    let beat = Request::new("PUT", "/v1/agent/check/pass/service:reporter-1");
    let taken = beat.send(api).ok()?.status == 200;
    beats.fetch_add(u64::from(taken), Ordering::Relaxed);
    Some(())
}

/// The state of the service that reports, as a platform sees it.
fn reported(at: &Platform) -> Option<String> {
    let found = at.get("/v1/health/service/reporter").ok()?;
    Some(found[0]["Checks"][0]["Status"].as_str()?.to_owned())
}

/// Which platform runs the checks, by its own word or that of another.
fn judges(at: &Platform) -> Option<String> {
    let found = at.get("/api/v1/platforms").ok()?;
    let platforms = found["platforms"].as_array()?.iter();
    let mut judging = platforms.filter(|platform| platform["checks"] == true);
    Some(judging.next()?["name"].as_str()?.to_owned())
}

#[test]
fn each_of_three_is_killed_and_frozen_and_nothing_is_lost_or_done_twice() -> Result<()> {
    let server = Postgres::start()?;
    let effects = Effects::default();
    let stub = things(&effects)?;
    let mut three = Three::start(&server)?;
    three.platforms[0].register("things", "things-1", &stub.address())?;
    let ttl = json!({ "Name": "reporter", "ID": "reporter-1", "Address": "127.0.0.1", "Port": 9,
                      "Check": { "TTL": "5s", "Status": "passing" } });
    Request::new("PUT", "/v1/agent/service/register")
        .json(&ttl)
        .send(&three.platforms[1].api)?
        .expect(200)?;
    for platform in &three.platforms {
        eventually("every platform knows the service", SLOW, || {
            (reported(platform)? == "passing").then_some(())
        })?;
    }
    let (stop, beats) = (AtomicBool::new(false), AtomicU64::new(0));
    let apis: Vec<String> = three.platforms.iter().map(|p| p.api.clone()).collect();
    std::thread::scope(|scope| {
        for api in &apis {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    report(api, &beats);
                    std::thread::park_timeout(BEAT);
                }
            });
        }
        let outcome = in_turn(&mut three, &beats);
        stop.store(true, Ordering::Relaxed);
        outcome
    })?;
    assert!(beats.load(Ordering::Relaxed) > 10);
    let effects = effects.lock().unwrap_or_else(PoisonError::into_inner);
    let expected = 2 * three.started;
    assert_eq!(
        effects.len() as u64,
        expected,
        "each step of each saga has one key"
    );
    assert!(
        !effects.keys().any(|key| key.contains("undo")),
        "{effects:?}"
    );
    Ok(())
}

fn in_turn(three: &mut Three, beats: &AtomicU64) -> Result<()> {
    three.start_sagas(usize::MAX)?;
    for down in 0..3 {
        three.platforms[down].process.kill()?;
        through(three, down, beats)?;
        three.platforms[down].restart()?;
        three.completed(&three.platforms[down])?;
    }
    for down in 0..3 {
        three.platforms[down].process.freeze()?;
        through(three, down, beats)?;
        three.platforms[down].process.thaw()?;
        three.completed(&three.platforms[down])?;
        // It wakes up in the middle of what it did, and does no harm.
        alive(three, usize::MAX, beats)?;
    }
    Ok(())
}

/// All goes on without the platform `down`.
fn through(three: &mut Three, down: usize, beats: &AtomicU64) -> Result<()> {
    three.start_sagas(down)?;
    let gone = three.platforms[down].api.clone();
    let another = three.besides(down).next().context("two are left")?;
    eventually("another platform runs the checks", SLOW, || {
        (judges(another)? != gone).then_some(())
    })?;
    alive(three, down, beats)?;
    let another = three.besides(down).next().context("two are left")?;
    three.completed(another)
}

/// The service reports, and no platform thinks otherwise for longer than a moment.
fn alive(three: &Three, down: usize, beats: &AtomicU64) -> Result<()> {
    let until = beats.load(Ordering::Relaxed) + PAST_THE_LEASE;
    while beats.load(Ordering::Relaxed) < until {
        for platform in three.besides(down) {
            let passing = eventually("the service is passing", Duration::from_secs(5), || {
                (reported(platform)? == "passing").then_some(())
            });
            passing.with_context(|| platform.process.output())?;
        }
    }
    Ok(())
}
