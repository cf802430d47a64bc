//! Everything in PostgreSQL: a database for each service, one for the platform, one for the plan.

use std::cell::RefCell;
use std::process::Command;

use anyhow::Result;
use ieum_testkit::engines::Postgres;
use ieum_testkit::{TempFolder, binary, eventually};
use serde_json::Value;

use super::{CHAOS, MIX, Run, assert_balanced};
use crate::shop::{DEMO, alone};

const PLACED: &str = "SELECT count(*) FROM ieum_events WHERE type = 'OrderCreated'";
const COMPLETED: &str = "SELECT count(*) FROM ieum_events WHERE type = 'OrderCompleted'";

/// A server with room for all pools. After a crash it syncs whole file systems instead of each of ten
/// thousand files, which takes half a minute on a slow disk.
fn server() -> Result<Postgres> {
    Postgres::with(&[("recovery_init_sync_method", "syncfs")])
}

fn count(server: &Postgres, sql: &str) -> Option<i64> {
    server.sql("shop_orders", sql).ok()?.parse().ok()
}

#[test]
fn the_books_balance_while_postgresql_crashes_and_processes_die() -> Result<()> {
    let server = RefCell::new(server()?);
    let folder = TempFolder::new()?;
    let url = server.borrow().url("shop");
    let run = Run {
        data: folder.path(),
        arguments: &[&CHAOS[..], &MIX].concat(),
        environment: &[("SHOP_DATABASE_URL", &url)],
    };
    let placed = || count(&server.borrow(), PLACED);
    let crash = || server.borrow_mut().restart_immediately();
    assert_balanced(&run.through_crashes(placed, crash)?);
    assert!(!folder.path().join("orders.db").exists());
    Ok(())
}

#[test]
fn a_demo_that_was_killed_goes_on_from_its_databases_alone() -> Result<()> {
    let server = server()?;
    let url = server.url("shop");
    let environment = [("SHOP_DATABASE_URL", url.as_str())];
    let arguments = [&MIX[..], &["--json"]].concat();
    {
        let folder = TempFolder::new()?;
        let first = Run {
            data: folder.path(),
            arguments: &arguments,
            environment: &environment,
        };
        let _alone = alone();
        let mut killed = first.start()?;
        let some = || count(&server, COMPLETED).filter(|count| *count >= 5);
        eventually("some orders", DEMO, some)?;
        killed.kill()?;
    }
    let elsewhere = TempFolder::new()?;
    let second = Run {
        data: elsewhere.path(),
        arguments: &arguments,
        environment: &environment,
    };
    let ended = second.to_the_end()?;
    assert_balanced(&ended);
    audit_says_the_same(&url, &ended.summary)
}

/// `shop audit --database` counts what the demo counted.
fn audit_says_the_same(url: &str, summary: &Value) -> Result<()> {
    let output = Command::new(binary("shop")?)
        .args(["audit", "--json"])
        .env("SHOP_DATABASE_URL", url)
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let printed = String::from_utf8(output.stdout)?;
    let audited: Value = serde_json::from_str(printed.lines().last().unwrap_or_default())?;
    for name in ["orders", "completed", "cancelled", "rowsAudited"] {
        assert_eq!(audited[name], summary[name], "{name}");
    }
    Ok(())
}

#[test]
fn the_auditor_finds_defects_in_postgresql_too() -> Result<()> {
    let server = server()?;
    for (defect, counter) in [
        ("double-charge", "chargedTwice"),
        ("lose-event", "lostEvents"),
    ] {
        let folder = TempFolder::new()?;
        let url = server.url(&defect.replace('-', "_"));
        let run = Run {
            data: folder.path(),
            arguments: &["--orders", "20", "--sabotage", defect, "--json"],
            environment: &[("SHOP_DATABASE_URL", &url)],
        };
        let ended = run.to_the_end()?;
        let count = ended.summary[counter].as_u64();
        assert!(count > Some(0), "{defect}: {}", ended.output);
        assert_eq!(ended.status, Some(1), "{defect}: {}", ended.output);
    }
    Ok(())
}
