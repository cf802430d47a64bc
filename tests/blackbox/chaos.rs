//! One process per service and one for the platform, killed while customers order: nothing is lost,
//! nothing happens twice. The long version is `cargo xtask torture shop`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Request, TempFolder, binary, eventually, free_port};
use serde_json::{Value, json};

use crate::platform::SOON;
use crate::shop::{DEMO, alone, demo, run_demo};

const CHAOS: [&str; 14] = [
    "--processes",
    "--chaos",
    "--kills",
    "4",
    "--orders",
    "60",
    "--decline",
    "10",
    "--undeliverable",
    "10",
    "--out-of-stock",
    "5",
    "--seed",
    "3",
];

/// Runs the chaos demo and checks the books; answers how many sagas were recovered.
#[track_caller]
fn survive(flow: &str) -> Result<u64> {
    let folder = TempFolder::new()?;
    let args = [&CHAOS[..], &["--flow", flow]].concat();
    let (status, summary) = run_demo(folder.path(), &args)?;
    let number = |name: &str| summary[name].as_u64();
    let planned = [60, 45, 6, 3, 6].map(Some);
    let ended = [
        "orders",
        "completed",
        "declined",
        "outOfStock",
        "undeliverable",
    ]
    .map(number);
    assert_eq!(ended, planned, "{summary}");
    for name in [
        "stuck",
        "chargedTwice",
        "notRefunded",
        "stockDrift",
        "lostEvents",
    ] {
        assert_eq!(summary[name], 0, "{name} in {summary}");
    }
    assert!(number("killsWhileOpen") >= Some(4), "{summary}");
    assert!(number("platformKills") >= Some(1), "{summary}");
    assert_eq!(status, Some(0), "{summary}");
    number("sagasRecovered").context("sagasRecovered")
}

#[test]
fn sagas_survive_the_death_of_any_process() -> Result<()> {
    assert!(survive("orchestrated")? >= 1);
    Ok(())
}

#[test]
fn orders_that_events_alone_drive_survive_the_death_of_any_process() -> Result<()> {
    assert_eq!(survive("choreographed")?, 0);
    Ok(())
}

#[test]
fn a_defect_is_found_in_processes_that_die() -> Result<()> {
    let folder = TempFolder::new()?;
    let args = [
        "--sabotage",
        "double-charge",
        "--chaos",
        "--kills",
        "2",
        "--orders",
        "20",
    ];
    let (status, summary) = run_demo(folder.path(), &args)?;
    assert!(summary["chargedTwice"].as_u64() > Some(0), "{summary}");
    assert_eq!(status, Some(1), "{summary}");
    Ok(())
}

#[test]
fn children_die_with_their_parent_and_the_next_start_goes_on() -> Result<()> {
    let folder = TempFolder::new()?;
    let args = ["--processes", "--orders", "80"];
    {
        let _alone = alone();
        let mut killed = demo(folder.path(), &args)?;
        let begun = || (count_orders(folder.path())? >= 10).then_some(());
        eventually("some orders", DEMO, begun)?;
        killed.kill()?;
    }
    let (status, summary) = run_demo(folder.path(), &args)?;
    assert_eq!(
        (&summary["orders"], &summary["completed"]),
        (&80.into(), &80.into()),
        "{summary}"
    );
    assert_eq!(
        (&summary["stuck"], &summary["lostEvents"]),
        (&0.into(), &0.into()),
        "{summary}"
    );
    assert_eq!(status, Some(0), "{summary}");
    Ok(())
}

/// How many orders were placed, read from the orders service's own events.
pub(crate) fn count_orders(data: &std::path::Path) -> Option<i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let orders = rusqlite::Connection::open_with_flags(data.join("orders.db"), flags).ok()?;
    let sql = "SELECT count(*) FROM ieum_events WHERE type = 'OrderCreated'";
    orders.query_row(sql, [], |row| row.get(0)).ok()
}

/// `shop serve products` with its database in `folder`.
fn products(folder: &TempFolder, platform: u16, port: u16) -> Result<Process> {
    let mut serve = Command::new(binary("shop")?);
    let database = format!("sqlite://{}", folder.path().join("products.db").display());
    serve.args(["serve", "products", "--database", &database]);
    serve.args(["--platform", &format!("http://127.0.0.1:{platform}")]);
    serve.args(["--listen", &format!("127.0.0.1:{port}")]);
    Process::start(&mut serve)
}

fn health(port: u16) -> Option<Value> {
    let reply = Request::new("GET", "/health").send(&format!("127.0.0.1:{port}"));
    reply.ok()?.expect(200).ok()
}

#[test]
fn a_service_serves_without_the_platform_and_is_degraded_until_it_comes() -> Result<()> {
    let folder = TempFolder::new()?;
    let (api, port) = (free_port()?, free_port()?);
    let mut service = products(&folder, api, port)?;
    let alone = eventually("the service", SOON, || health(port))?;
    assert_eq!(alone["status"], "degraded", "{alone}");
    assert_eq!(alone["checks"]["database"]["status"], "ok", "{alone}");
    let listed = Request::new("GET", "/products").send(&format!("127.0.0.1:{port}"))?;
    assert_eq!(listed.status, 200, "{}", listed.text());

    let mut platform = platform(&folder, api)?;
    let healthy = || health(port).filter(|health| health["status"] == "healthy");
    eventually("it finds the platform", SOON, healthy)?;
    platform.kill()?;
    let degraded = || health(port).filter(|health| health["status"] == "degraded");
    eventually("it misses the platform", SOON, degraded)?;
    let listed = Request::new("GET", "/products").send(&format!("127.0.0.1:{port}"))?;
    assert_eq!(listed.status, 200, "{}", listed.text());

    let put = Request::new("POST", "/products")
        .header("x-user-id", "u-1")
        .header("x-user-roles", "admin")
        .json(&json!({ "name": "가방", "price": 45_000, "stock": 3 }));
    put.send(&format!("127.0.0.1:{port}"))?.expect(201)?;
    service.terminate()?;
    let status = service.wait(Duration::from_secs(20))?;
    let said = service.output();
    assert_eq!(status.code(), Some(0), "{said}");
    let abandoned = "abandoned at the stop: 1 × event not sent yet";
    assert!(said.contains(abandoned), "{said}");
    Ok(())
}

/// A platform whose API listens on `api`.
fn platform(folder: &TempFolder, api: u16) -> Result<Process> {
    let config = folder.path().join("ieum.toml");
    let text = format!(
        "[platform]\nlisten = \"127.0.0.1:{api}\"\ndata-dir = \"platform\"\n\
         [gateway]\nlisten = \"127.0.0.1:{}\"\n",
        free_port()?
    );
    std::fs::write(&config, text)?;
    Process::start(
        Command::new(binary("ieum")?)
            .args(["up", "--config"])
            .arg(config),
    )
}
