//! Reading the configuration again under way: SIGHUP takes it over whole, or not at all.

use anyhow::Result;
use ieum_testkit::{Load, Reply, Request, Stub, eventually};
use serde_json::json;

use crate::platform::{Platform, SOON};

fn route(name: &str, address: &str) -> String {
    format!(
        "[[gateway.routes]]\nname = \"{name}\"\npath = \"/{name}\"\nurl = \"http://{address}\"\n\
         auth = \"none\"\n"
    )
}

/// Replaces the end of the configuration, from its first route, and tells the process.
fn rewrite(platform: &Platform, routes: &str) -> Result<()> {
    let file = platform.folder.path().join("ieum.toml");
    let text = std::fs::read_to_string(&file)?;
    let head = text.split("[[gateway.routes]]").next().unwrap_or_default();
    std::fs::write(&file, format!("{head}{routes}"))?;
    platform.process.hang_up()
}

#[test]
fn new_routes_are_taken_over_under_load_and_a_mistake_changes_nothing() -> Result<()> {
    let stub = Stub::start(|request| Reply::json_of(200, &json!({ "got": request.target })))?;
    let (old, new) = (route("old", &stub.address()), route("new", &stub.address()));
    let mut platform = Platform::start(&old)?;
    let load = Load {
        address: platform.gateway.clone(),
        requests: vec![Request::new("GET", "/old")],
        rate: 200.0,
        connections: 8,
        excused: None,
    };
    let load = load.start()?;
    rewrite(&platform, &format!("{old}{new}"))?;
    eventually("the new route", SOON, || {
        let reply = platform.send(&Request::new("GET", "/new")).ok()?;
        (reply.status == 200).then_some(())
    })?;

    rewrite(&platform, &format!("{old}timeout = \"5 days\"\n"))?;
    let place = platform.process.wait_for(SOON, |line| {
        line.contains("--> ieum.toml:").then(|| line.to_owned())
    })?;
    assert!(place.contains("ieum.toml:14:"), "{place}");
    assert_eq!(platform.send(&Request::new("GET", "/new"))?.status, 200);

    let file = platform.folder.path().join("ieum.toml");
    let text = std::fs::read_to_string(&file)?;
    let text = text.replace("linger = \"0s\"", "linger = \"1s\"");
    std::fs::write(&file, text.replace("timeout = \"5 days\"\n", ""))?;
    platform.process.hang_up()?;
    platform.process.wait_for(SOON, |line| {
        line.contains("`platform.linger` cannot change")
            .then_some(())
    })?;
    assert_eq!(platform.send(&Request::new("GET", "/new"))?.status, 200);
    assert!(!platform.process.has_ended());
    load.stop().check()
}
