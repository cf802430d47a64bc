//! Orders that services in four languages take part in: `shop demo --polyglot`.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, TempFolder, binary, eventually};
use serde_json::Value;

use crate::platform::SOON;
use crate::shop::{DEMO, alone, demo, run_demo};

const MIX: [&str; 9] = [
    "--polyglot",
    "--orders",
    "40",
    "--decline",
    "10",
    "--undeliverable",
    "25",
    "--concurrency",
    "8",
];

/// Who has a part in a completed order. The rest of the trace may be there or not.
const SERVICES: [&str; 11] = [
    "gateway",
    "orders",
    "sagas",
    "inventory",
    "payments",
    "loyalty",
    "invoices",
    "donations",
    "shipping",
    "notifications",
    "analytics",
];

#[track_caller]
fn assert_mix(summary: &Value) {
    let counts = ["orders", "completed", "declined", "undeliverable"];
    let counted = counts.map(|name| summary[name].as_u64());
    assert_eq!(counted, [40, 26, 4, 10].map(Some), "{summary}");
    for name in [
        "stuck",
        "chargedTwice",
        "notRefunded",
        "stockDrift",
        "lostEvents",
    ] {
        assert_eq!(summary[name], 0, "{name} in {summary}");
    }
}

#[test]
fn an_order_is_one_tree_over_four_languages() -> Result<()> {
    let folder = TempFolder::new()?;
    let mut process = {
        let _alone = alone();
        let process = demo(folder.path(), &MIX)?;
        process.wait_for(DEMO, |line| line.contains("Serving").then_some(()))?;
        process
    };
    let output = process.output();
    assert!(output.contains("The books balance."), "{output}");
    let platform = address_of("platform API", &output)?;
    let order = completed_order(folder.path())?;
    let trace = eventually("one whole trace", SOON, || {
        let trace = trace(&platform, &order).ok()?;
        let spans = trace["spans"].as_array()?.iter();
        let services: BTreeSet<_> = spans.filter_map(|span| span["service"].as_str()).collect();
        let is_whole = SERVICES.iter().all(|name| services.contains(name));
        (is_whole && trace["orphans"] == 0).then_some(trace)
    })
    .with_context(|| format!("{:?}", trace(&platform, &order)))?;
    assert_connected(&trace);
    // The books are those of this saga, and an audit of the data alone says the same.
    process.terminate()?;
    assert_eq!(process.wait(DEMO)?.code(), Some(0), "{}", process.output());
    let mut audit = Command::new(binary("shop")?);
    let audited = audit
        .args(["audit", "--json", "--data"])
        .arg(folder.path())
        .output()?;
    assert_mix(&serde_json::from_slice(&audited.stdout)?);
    // A service that forgot what it did is found.
    std::fs::remove_file(folder.path().join("donations.log"))?;
    let mut audit = Command::new(binary("shop")?);
    let audited = audit
        .args(["audit", "--json", "--data"])
        .arg(folder.path())
        .output()?;
    let books: Value = serde_json::from_slice(&audited.stdout)?;
    assert_eq!(books["lostEvents"], 26, "{books}");
    assert_eq!(audited.status.code(), Some(1));
    Ok(())
}

/// Every span but one has its parent in the trace.
#[track_caller]
fn assert_connected(trace: &Value) {
    let spans = trace["spans"].as_array().map_or(&[][..], Vec::as_slice);
    let ids: BTreeSet<_> = spans
        .iter()
        .filter_map(|span| span["spanId"].as_str())
        .collect();
    let tops = spans.iter().filter(|span| {
        let parent = span["parent"].as_str();
        !parent.is_some_and(|parent| ids.contains(parent))
    });
    assert_eq!(tops.count(), 1, "{trace}");
}

#[test]
fn an_order_survives_the_death_of_services_in_any_language() -> Result<()> {
    let folder = TempFolder::new()?;
    let chaos = ["--chaos", "--kills", "8", "--seed", "4"];
    let (status, summary) = run_demo(folder.path(), &[&MIX[..], &chaos].concat())?;
    assert_mix(&summary);
    assert_eq!(summary["kills"], 8, "{summary}");
    assert_eq!(status, Some(0), "{summary}");
    Ok(())
}

#[test]
fn what_is_missing_is_said_before_anything_is_started() -> Result<()> {
    let folder = TempFolder::new()?;
    let mut command = Command::new(binary("shop")?);
    command
        .args(["demo", "--polyglot", "--exit", "--data"])
        .arg(folder.path());
    let mut process = Process::start(command.env("PATH", folder.path()))?;
    let status = process.wait(DEMO)?;
    let output = process.output();
    assert_eq!(status.code(), Some(1), "{output}");
    for missing in [
        "node, version",
        "npm, version",
        "python3, version",
        "python3 -m pip",
        "java, version",
        "javac, version",
    ] {
        assert!(output.contains(missing), "{missing}: {output}");
    }
    assert!(!folder.path().join("platform").exists(), "{output}");
    Ok(())
}

#[test]
fn the_choreographed_flow_refuses_the_services_of_a_saga() -> Result<()> {
    let folder = TempFolder::new()?;
    let flow = ["--polyglot", "--flow", "choreographed", "--exit"];
    let mut process = demo(folder.path(), &flow)?;
    assert_eq!(process.wait(DEMO)?.code(), Some(1), "{}", process.output());
    let output = process.output();
    assert!(
        output.contains("--polyglot adds steps to the saga"),
        "{output}"
    );
    Ok(())
}

/// The address that the demo printed beside this name.
fn address_of(name: &str, output: &str) -> Result<String> {
    let address = output.lines().find_map(|line| {
        let (what, address) = line.split_once("http://")?;
        (what.trim() == name).then(|| address.to_owned())
    });
    address.with_context(|| format!("where is {name}?\n{output}"))
}

fn completed_order(data: &std::path::Path) -> Result<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let orders = rusqlite::Connection::open_with_flags(data.join("orders.db"), flags)?;
    let sql = "SELECT id FROM order_view WHERE status = 'completed' LIMIT 1";
    Ok(orders.query_row(sql, [], |row| row.get(0))?)
}

fn trace(platform: &str, order: &str) -> Result<Value> {
    let mut command = Command::new(binary("ieum")?);
    let asked = command.args(["trace", order, "--json", "--platform"]);
    let output = asked.arg(format!("http://{platform}")).output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
