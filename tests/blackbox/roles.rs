//! Processes with a part of the roles: gateways that follow a platform, and go on without it.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Load, Process, Reply, Request, Stub, TempFolder, binary, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON, address};

const ROUTE: &str =
    "[[gateway.routes]]\nname = \"r\"\npath = \"/things\"\nservice = \"things\"\nauth = \"none\"\n";

/// A gateway that follows the registry of a platform.
struct Follower {
    process: Process,
    gateway: String,
    api: String,
    folder: TempFolder,
}

impl Follower {
    fn start(platform: &str) -> Result<Self> {
        Self::of(&format!("ieum://{platform}"))
    }

    /// One that follows the registry behind `url`.
    fn of(url: &str) -> Result<Self> {
        let (gateway, api, folder) = (address()?, address()?, TempFolder::new()?);
        let config = format!(
            "[platform]\nlisten = \"{api}\"\ndata-dir = \"data\"\nlinger = \"0s\"\n\n[gateway]\n\
             listen = \"{gateway}\"\n\n{ROUTE}"
        );
        folder.write("ieum.toml", config)?;
        let process = Self::process(&folder, url)?;
        let follower = Self {
            process,
            gateway,
            api,
            folder,
        };
        follower.wait()?;
        Ok(follower)
    }

    fn restart(&mut self, platform: &str) -> Result<()> {
        self.process = Self::process(&self.folder, &format!("ieum://{platform}"))?;
        self.wait()
    }

    fn process(folder: &TempFolder, url: &str) -> Result<Process> {
        let mut command = Command::new(binary("ieum")?);
        command
            .args([
                "up",
                "-c",
                "ieum.toml",
                "--roles",
                "gateway",
                "--registry",
                url,
            ])
            .current_dir(folder.path());
        Process::start(&mut command)
    }

    fn wait(&self) -> Result<()> {
        let listens = |address: &String| Request::new("GET", "/health").send(address).is_ok();
        let up = eventually("the follower listens", SOON, || {
            (listens(&self.api) && listens(&self.gateway)).then_some(())
        });
        up.with_context(|| self.process.output())
    }

    fn get(&self) -> Result<Reply> {
        Request::new("GET", "/things").send(&self.gateway)
    }

    fn becomes_200(&self) -> Result<()> {
        eventually("the service is found", SOON, || {
            (self.get().ok()?.status == 200).then_some(())
        })
        .with_context(|| self.process.output())
    }
}

fn things(name: &'static str) -> Result<Stub> {
    Stub::start(move |_| Reply::json_of(200, &json!({ "from": name })))
}

fn ieum(args: &[&str]) -> Result<Output> {
    Ok(Command::new(binary("ieum")?).args(args).output()?)
}

#[test]
fn gateways_go_on_when_the_platform_is_killed_and_follow_it_when_it_returns() -> Result<()> {
    let mut platform = Platform::start("")?;
    let (first, second) = (things("first")?, things("second")?);
    platform.register("things", "things-1", &first.address())?;
    let followers = [
        Follower::start(&platform.api)?,
        Follower::start(&platform.api)?,
    ];
    let mut loads = Vec::new();
    for follower in &followers {
        follower.becomes_200()?;
        let load = Load {
            address: follower.gateway.clone(),
            requests: vec![Request::new("GET", "/things")],
            rate: 100.0,
            connections: 8,
            excused: None,
        };
        loads.push(load.start()?);
    }
    platform.process.kill()?;
    eventually("both notice", SOON, || {
        let noticed = |follower: &Follower| {
            let health = Request::new("GET", "/health").send(&follower.api).ok()?;
            (health.status == 200 && health.json().ok()?["status"] == "degraded").then_some(())
        };
        followers.iter().try_for_each(noticed)
    })?;
    let away = loads[0].so_far().total();
    eventually("requests without the platform", SOON, || {
        (loads[0].so_far().total() > away + 200).then_some(())
    })?;
    platform.restart()?;
    // As before: a registration of the earlier life is there, and a new one is seen.
    platform.register("things", "things-2", &second.address())?;
    eventually("both use the new instance", SOON, || {
        let uses = |follower: &Follower| {
            let reply = follower.get().ok()?;
            (reply.json().ok()?["from"] == "second").then_some(())
        };
        followers.iter().try_for_each(uses)
    })?;
    for load in loads {
        load.stop().check()?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_starts_while_the_platform_is_away_serves_from_what_was_known() -> Result<()> {
    let mut platform = Platform::start("")?;
    let stub = things("known")?;
    platform.register("things", "things-1", &stub.address())?;
    let mut follower = Follower::start(&platform.api)?;
    follower.becomes_200()?;
    follower.process.terminate()?;
    assert_eq!(follower.process.wait(SOON)?.code(), Some(0));
    platform.process.kill()?;
    follower.restart(&platform.api)?;
    let reply = follower.get()?;
    assert_eq!(
        reply.status,
        200,
        "{}\n{}",
        reply.text(),
        follower.process.output()
    );
    assert!(
        !follower.folder.path().join("data/log.db").exists(),
        "it owns no log"
    );
    Ok(())
}

#[test]
fn a_gateway_says_what_it_does_not_do_and_who_does() -> Result<()> {
    let platform = Platform::start("")?;
    let follower = Follower::start(&platform.api)?;
    for target in [
        "/api/v1/log",
        "/api/v1/topics",
        "/api/v1/sagas",
        "/v1/catalog/services",
    ] {
        let reply = Request::new("GET", target).send(&follower.api)?;
        let problem = reply.expect(501)?;
        assert_eq!(problem["code"], "IEUM-5016", "{target}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(&platform.api), "{target}: {detail}");
    }
    let (here, there) = (format!("http://{}", follower.api), &platform.api);
    let services = ieum(&["services", "--json", "--platform", &here])?;
    assert!(services.status.success(), "{services:?}");
    let trace = ieum(&["trace", "t-1", "--platform", &here])?;
    let said = String::from_utf8_lossy(&trace.stderr).into_owned();
    assert!(
        !trace.status.success() && said.contains(there.as_str()),
        "{said}"
    );
    assert!(!said.contains("no platform answers"), "{said}");
    Ok(())
}

#[test]
fn a_gateway_follows_an_agent_of_consul() -> Result<()> {
    // The platform speaks Consul's API; nothing else of it is used here.
    let platform = Platform::start("")?;
    let stub = things("consul")?;
    platform.register("things", "things-1", &stub.address())?;
    let follower = Follower::of(&format!("consul://{}", platform.api))?;
    follower.becomes_200()
}

#[test]
fn the_spans_of_a_gateway_are_found_at_the_platform() -> Result<()> {
    let platform = Platform::start("")?;
    let stub = things("traced")?;
    platform.register("things", "things-1", &stub.address())?;
    let follower = Follower::start(&platform.api)?;
    follower.becomes_200()?;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = Request::new("GET", "/things")
        .header("traceparent", &format!("00-{id}-00f067aa0ba902b7-01"));
    traced.send(&follower.gateway)?.expect(200)?;
    let trace: Value = eventually("the trace", SOON, || {
        platform.get(&format!("/api/v1/traces/{id}")).ok()
    })?;
    assert!(trace.to_string().contains("gateway"), "{trace}");
    Ok(())
}

#[test]
fn roles_that_cannot_work_are_refused_with_what_is_possible() -> Result<()> {
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", "")?;
    let file = folder.path().join("ieum.toml");
    let file = file.to_string_lossy();
    let follow = [
        "check",
        "-c",
        &*file,
        "--registry",
        "ieum://127.0.0.1:8500",
        "--roles",
    ];
    let refused = ieum(&[&follow[..], &["sagas"]].concat())?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("sagas are run by the process that owns the log"),
        "{said}"
    );
    assert!(said.contains("one process if it is a file"), "{said}");
    let fine = ieum(&[&follow[..], &["gateway"]].concat())?;
    let said = String::from_utf8_lossy(&fine.stdout).into_owned();
    assert!(said.contains("owns no log"), "{said}");
    let unknown = ieum(&["check", "-c", &file, "--roles", "gatway"])?;
    assert!(!unknown.status.success());
    Ok(())
}

#[test]
fn a_platform_that_is_frozen_does_not_stop_its_gateways() -> Result<()> {
    let platform = Platform::start("")?;
    let stub = things("thawed")?;
    platform.register("things", "things-1", &stub.address())?;
    let follower = Follower::start(&platform.api)?;
    follower.becomes_200()?;
    platform.process.freeze()?;
    let load = Load {
        address: follower.gateway,
        requests: vec![Request::new("GET", "/things")],
        rate: 100.0,
        connections: 4,
        excused: None,
    };
    let load = load.start()?;
    eventually("requests without the platform", SOON, || {
        (load.so_far().total() > 200).then_some(())
    })?;
    platform.process.thaw()?;
    let tally = load.stop();
    tally.check()?;
    assert!(tally.slowest < Duration::from_secs(1), "{tally:?}");
    Ok(())
}
