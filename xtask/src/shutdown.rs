//! `cargo xtask torture shutdown`: gateways and services stopped under load, again and again.
//!
//! The work is in `tests/blackbox/shutdown.rs`, which runs one round in CI; here it runs as many as are
//! asked for, one test after the other, so that each has the machine to itself.

use anyhow::{Context, Result, bail};

use crate::workspace::{self, cargo};

/// How many rounds the proof takes if nothing else is said.
const ROUNDS: u64 = 20;

/// Runs the rounds that `args` ask for (`--runs N`). An error if one request was lost.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let rounds = match args {
        [] => ROUNDS,
        ["--runs", rounds] => rounds.parse().with_context(|| format!("--runs {rounds}"))?,
        _ => bail!("usage: cargo xtask torture shutdown [--runs N]"),
    };
    let mut build = cargo();
    build.args(["build", "--quiet", "-p", "ieum-server", "-p", "shop"]);
    workspace::run(&mut build).context("building the binaries")?;
    let mut test = cargo();
    test.args(["test", "--quiet", "-p", "ieum-tests", "--test", "blackbox"])
        .args(["--", "shutdown::", "--test-threads=1"])
        .env("IEUM_SHUTDOWN_ROUNDS", rounds.to_string());
    workspace::run(&mut test)
}
