//! The main job: `shop demo`, its exact counts, its recovery, and the defects that the auditor finds.

use std::process::Command;

use anyhow::Result;
use ieum_testkit::{TempFolder, binary, eventually};
use serde_json::Value;

use crate::shop::{DEMO, alone, demo, run_demo};

const MIX: [&str; 10] = [
    "--orders",
    "60",
    "--concurrency",
    "8",
    "--decline",
    "20",
    "--undeliverable",
    "10",
    "--out-of-stock",
    "5",
];

#[track_caller]
fn assert_mix(summary: &Value) {
    let counts = [
        "orders",
        "completed",
        "cancelled",
        "declined",
        "outOfStock",
        "undeliverable",
    ];
    let counted: Vec<_> = counts.iter().map(|name| summary[name].as_u64()).collect();
    let planned = [60, 39, 21, 12, 3, 6].map(Some);
    assert_eq!(counted, planned, "{summary}");
    assert_balanced(summary);
}

#[track_caller]
fn assert_balanced(summary: &Value) {
    for name in [
        "stuck",
        "chargedTwice",
        "notRefunded",
        "stockDrift",
        "lostEvents",
    ] {
        assert_eq!(summary[name], 0, "{name} in {summary}");
    }
    assert!(summary["rowsAudited"].as_u64() > Some(100), "{summary}");
}

#[test]
fn every_order_ends_as_planned_with_sagas() -> Result<()> {
    let folder = TempFolder::new()?;
    let (status, summary) = run_demo(folder.path(), &MIX)?;
    assert_mix(&summary);
    assert_eq!(status, Some(0));
    Ok(())
}

#[test]
fn every_order_ends_as_planned_by_events_alone() -> Result<()> {
    let folder = TempFolder::new()?;
    let flow = ["--flow", "choreographed"];
    let (status, summary) = run_demo(folder.path(), &[&MIX[..], &flow].concat())?;
    assert_mix(&summary);
    assert_eq!(status, Some(0));
    Ok(())
}

#[test]
fn an_audit_of_the_data_alone_says_the_same() -> Result<()> {
    let folder = TempFolder::new()?;
    run_demo(folder.path(), &MIX)?;
    let mut audit = Command::new(binary("shop")?);
    let output = audit
        .arg("audit")
        .arg("--data")
        .arg(folder.path())
        .arg("--json")
        .output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout)?;
    assert_mix(&serde_json::from_str(
        printed.lines().last().unwrap_or_default(),
    )?);
    Ok(())
}

/// Runs a small demo with a planted defect; the auditor must count it under `counter`.
fn assert_found(sabotage: &str, counter: &str) -> Result<()> {
    let folder = TempFolder::new()?;
    let (status, summary) = run_demo(folder.path(), &["--orders", "20", "--sabotage", sabotage])?;
    assert!(summary[counter].as_u64() > Some(0), "{sabotage}: {summary}");
    assert_ne!(status, Some(0), "{sabotage}: {summary}");
    Ok(())
}

#[test]
fn the_auditor_finds_a_double_charge() -> Result<()> {
    assert_found("double-charge", "chargedTwice")
}

#[test]
fn the_auditor_finds_a_lost_event() -> Result<()> {
    assert_found("lose-event", "lostEvents")
}

#[test]
fn the_auditor_finds_leaked_stock() -> Result<()> {
    assert_found("leak-stock", "stockDrift")
}

#[test]
fn the_auditor_finds_a_forgotten_undo() -> Result<()> {
    assert_found("forget-undo", "notRefunded")
}

#[test]
fn a_demo_that_was_killed_finishes_its_orders_when_it_starts_again() -> Result<()> {
    let folder = TempFolder::new()?;
    let args = [
        "--orders",
        "120",
        "--concurrency",
        "16",
        "--decline",
        "10",
        "--undeliverable",
        "10",
    ];
    {
        let _alone = alone();
        let mut killed = demo(folder.path(), &args)?;
        // Killed when some orders are through and most are not.
        let completed = || count_completed(folder.path()).filter(|count| *count >= 15);
        eventually("some orders", DEMO, completed)?;
        killed.kill()?;
    }
    let (status, summary) = run_demo(folder.path(), &args)?;
    let counts = ["orders", "completed", "declined", "undeliverable"].map(|n| summary[n].as_u64());
    assert_eq!(counts, [120, 96, 12, 12].map(Some), "{summary}");
    assert_balanced(&summary);
    assert_eq!(status, Some(0));
    Ok(())
}

/// How many orders are completed, read from the orders service's own events.
fn count_completed(data: &std::path::Path) -> Option<i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let orders = rusqlite::Connection::open_with_flags(data.join("orders.db"), flags).ok()?;
    let sql = "SELECT count(*) FROM ieum_events WHERE type = 'OrderCompleted'";
    orders.query_row(sql, [], |row| row.get(0)).ok()
}
