//! The shop on three platforms that share one PostgreSQL: each is frozen past its lease, in turn, and
//! thawed. Orders go on, the books balance, and nothing happens twice. (`platforms.rs` kills each.)

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ieum_testkit::engines::Postgres;
use ieum_testkit::{Request, TempFolder, eventually};

use super::{MIX, Run, SLOW, assert_balanced};

const PLACED: &str = "SELECT count(*) FROM ieum_events WHERE type = 'OrderCreated'";
const CONFIGS: [&str; 3] = ["ieum.toml", "ieum-platform-2.toml", "ieum-platform-3.toml"];

/// One of the platforms of a demo.
struct Member {
    process: String,
    api: String,
}

impl Member {
    /// The platform that was started with a configuration of the demo in `data`.
    fn of(data: &Path, config: &str) -> Result<Self> {
        let file = data.join(config);
        let text = std::fs::read_to_string(&file)?;
        let listen = text.lines().find_map(|line| line.strip_prefix("listen = "));
        let api = listen.context("a configuration without an address")?;
        let file = file.display().to_string();
        let mut running = std::fs::read_dir("/proc")?.flatten();
        let process = running.find_map(|process| {
            let words = std::fs::read(process.path().join("cmdline")).ok()?;
            let mut words = words.split(|byte| *byte == 0);
            let is_it = words.any(|word| word == file.as_bytes());
            is_it.then(|| process.file_name().to_string_lossy().into_owned())
        });
        Ok(Self {
            process: process.with_context(|| format!("nobody runs {file}"))?,
            api: api.trim_matches('"').to_owned(),
        })
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args([signal, &self.process])
            .status()?;
        ensure!(sent.success(), "kill {signal} {}", self.process);
        Ok(())
    }

    /// True if this one thinks that `other` has been silent for a lease.
    fn misses(&self, other: &Self) -> Option<bool> {
        let found = Request::new("GET", "/api/v1/platforms")
            .send(&self.api)
            .ok()?;
        let found = found.expect(200).ok()?;
        let platforms = found["platforms"].as_array()?;
        let other = platforms.iter().find(|p| p["name"] == other.api.as_str());
        Some(other.is_none_or(|other| other["alive"] == false))
    }
}

/// Freezes a platform until the others have taken over, and a while longer.
fn freeze(data: &Path, which: usize, placed: &dyn Fn() -> Option<i64>) -> Result<()> {
    let victim = Member::of(data, CONFIGS[which])?;
    let witness = Member::of(data, CONFIGS[(which + 1) % CONFIGS.len()])?;
    victim.signal("-STOP")?;
    let missed = eventually("the others take over", SLOW, || {
        witness.misses(&victim)?.then_some(())
    });
    let before = placed().unwrap_or_default();
    let goes_on = missed
        .and_then(|()| eventually("orders go on", SLOW, || (placed()? > before).then_some(())));
    victim.signal("-CONT")?;
    goes_on
}

#[test]
fn the_books_balance_while_each_of_three_platforms_is_frozen_and_thawed() -> Result<()> {
    let server = Postgres::with(&[("recovery_init_sync_method", "syncfs")])?;
    let folder = TempFolder::new()?;
    let url = server.url("shop");
    let run = Run {
        data: folder.path(),
        arguments: &[&["--platforms", "3", "--json"], &MIX[..]].concat(),
        environment: &[("SHOP_DATABASE_URL", &url)],
    };
    let placed = || server.sql("shop_orders", PLACED).ok()?.parse().ok();
    let turn = Cell::new(0);
    let freeze_next = || {
        let which = turn.replace(turn.get() + 1) % CONFIGS.len();
        freeze(folder.path(), which, &placed)
    };
    assert_balanced(&run.through_crashes(placed, freeze_next)?);
    Ok(())
}
