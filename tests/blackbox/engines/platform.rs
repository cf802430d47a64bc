//! `ieum up` with its log in PostgreSQL: it serves, says clearly why it does not start, and goes on by
//! itself after the server crashed. `ieum doctor` says what it finds.

use std::process::{Command, Output};

use anyhow::Result;
use ieum_testkit::engines::Postgres;
use ieum_testkit::{Reply, Request, Stub, TempFolder, binary, eventually, free_port};
use serde_json::{Value, json};

use super::SLOW;
use crate::platform::Platform;

const LOG: &str = "[log]\nurl-file = \"log.url\"\n";
/// One that does not wait for an engine that is away.
const IMPATIENT: &str = "[log]\nurl-file = \"log.url\"\nwait = \"0s\"\n";

fn append(platform: &Platform, id: u8) -> Result<Reply> {
    let id = format!("00000000-0000-4000-8000-0000000000{id:02x}");
    let event = json!({ "id": id, "type": "placed", "data": 1 });
    Request::new("POST", "/api/v1/log/streams/thing-1")
        .json(&json!({ "expect": "any", "events": [event] }))
        .send(&platform.api)
}

fn is_healthy(platform: &Platform) -> Option<bool> {
    let health = Request::new("GET", "/health").send(&platform.api).ok()?;
    Some(health.status == 200)
}

#[test]
fn it_goes_on_by_itself_after_the_server_crashed() -> Result<()> {
    let mut server = Postgres::start()?;
    let things = Stub::start(|_| Reply::json_of(200, &json!({})))?;
    let port = things.port();
    let rest = format!(
        "{LOG}\n[[registry.instances]]\nservice = \"things\"\naddress = \"127.0.0.1\"\nport = {port}\n\n\
         [[gateway.routes]]\nname = \"r\"\npath = \"/things\"\nservice = \"things\"\nauth = \"none\"\n"
    );
    let url = server.url("ieum");
    let platform = Platform::start_with(&rest, &[("log.url", &url)])?;
    let told = platform.process.output();
    assert!(told.contains("postgres://ieum:***@127.0.0.1"), "{told}");
    append(&platform, 1)?.expect(201)?;
    let through = || -> Result<u16> { Ok(platform.send(&Request::new("GET", "/things"))?.status) };
    eventually("the gateway knows the service", SLOW, || {
        (through().ok()? == 200).then_some(())
    })?;

    server.kill()?;
    let refused = append(&platform, 2)?;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.get("retry-after").is_some(), "{}", refused.text());
    let health = Request::new("GET", "/health").send(&platform.api)?;
    assert_eq!(health.status, 503);
    assert_eq!(health.json()?["checks"]["log"]["status"], "error");
    assert_eq!(through()?, 200, "the gateway goes on");

    server.start_again()?;
    eventually("it goes on by itself", SLOW, || {
        is_healthy(&platform)?.then_some(())
    })?;
    // Whether the refused one happened is unknown: the same ids settle it.
    let again = append(&platform, 2)?.status;
    assert!([200, 201].contains(&again), "{again}");
    append(&platform, 3)?.expect(201)?;
    let page = platform.get("/api/v1/log/streams/thing-1")?;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(3), "{page}");
    Ok(())
}

/// Runs `ieum` with a log at `url` to its end.
fn run(arguments: &[&str], config: &str, url: &str) -> Result<Output> {
    let folder = TempFolder::new()?;
    let platform = format!("[platform]\nlisten = \"127.0.0.1:{}\"\n", free_port()?);
    let gateway = format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", free_port()?);
    folder.write("ieum.toml", format!("{platform}{gateway}{config}"))?;
    folder.write("log.url", url)?;
    let mut command = Command::new(binary("ieum")?);
    command.args(arguments).args(["-c", "ieum.toml"]);
    Ok(command.current_dir(folder.path()).output()?)
}

/// URLs that are refused, and what must be said of each.
fn refusals(server: &Postgres) -> Result<[(String, &'static str); 3]> {
    let port = server.port();
    let nobody = free_port()?;
    Ok([
        (
            format!("postgres://ieum:wr0ng@127.0.0.1:{port}/ieum"),
            "password",
        ),
        (server.url("nowhere"), "not there"),
        (
            format!("postgres://ieum:wr0ng@127.0.0.1:{nobody}/ieum"),
            "check the host",
        ),
    ])
}

#[test]
fn a_server_that_refuses_is_one_clear_error() -> Result<()> {
    let server = Postgres::start()?;
    for (url, said) in refusals(&server)? {
        let output = run(&["up"], IMPATIENT, &url)?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(said), "{told}");
        assert!(told.contains("***@127.0.0.1"), "{told}");
        assert!(!told.contains("wr0ng"), "{told}");
        let errors = told.lines().filter(|line| line.starts_with("error:"));
        assert_eq!(errors.count(), 1, "{told}");
    }
    Ok(())
}

#[test]
fn the_doctor_finds_what_is_wrong_before_the_start() -> Result<()> {
    let server = Postgres::start()?;
    for (url, said) in refusals(&server)? {
        let output = run(&["doctor"], LOG, &url)?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("broken") && told.contains(said), "{told}");
        assert!(!told.contains("wr0ng"), "{told}");
    }
    Ok(())
}

#[test]
fn the_doctor_says_which_promises_are_weak() -> Result<()> {
    let server = Postgres::with(&[("synchronous_commit", "off")])?;
    let url = server.url("ieum");
    let output = run(&["doctor", "--json"], LOG, &url)?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!(found["engines"][0]["engine"], "PostgreSQL");
    let findings = found["engines"][0]["findings"].to_string();
    assert!(findings.contains("synchronous_commit"), "{findings}");
    let strict = run(&["doctor", "--strict"], LOG, &url)?;
    let expected = i32::from(found["worst"] != "fine");
    assert_eq!(strict.status.code(), Some(expected), "{found}");
    Ok(())
}
