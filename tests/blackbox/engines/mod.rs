//! The shop on engines that are servers of their own: they crash while customers order and while the
//! shop's own processes are killed, and the books balance.

mod brokers;
mod database;
mod platform;
mod platforms;
mod redis_gone;
mod refusals;
mod shop_platforms;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, binary, eventually};
use serde_json::Value;

use crate::shop::{DEMO, alone};

/// How often an engine crashes during a run.
const CRASHES: i64 = 5;

/// How many orders a run has, and what becomes of them with [`MIX`].
const ORDERS: i64 = 60;
const ENDED: [(&str, i64); 5] = [
    ("orders", ORDERS),
    ("completed", 45),
    ("declined", 6),
    ("outOfStock", 3),
    ("undeliverable", 6),
];
const MIX: [&str; 8] = [
    "--orders",
    "60",
    "--decline",
    "10",
    "--undeliverable",
    "10",
    "--out-of-stock",
    "5",
];
/// Processes of the shop die too.
const CHAOS: [&str; 5] = ["--processes", "--chaos", "--kills", "4", "--json"];

/// What a demo is started with.
struct Run<'a> {
    data: &'a Path,
    arguments: &'a [&'a str],
    /// URLs have passwords, so they are in the environment.
    environment: &'a [(&'a str, &'a str)],
}

impl Run<'_> {
    fn start(&self) -> Result<Process> {
        let mut command = Command::new(binary("shop")?);
        command.args(["demo", "--exit", "--data"]).arg(self.data);
        command.args(self.arguments);
        Process::start(command.envs(self.environment.iter().copied()))
    }

    /// Runs a demo to its end.
    fn to_the_end(&self) -> Result<Ended> {
        let _alone = alone();
        finish(self.start()?)
    }

    /// The same, with a crash each time that so many more orders were placed.
    fn through_crashes(
        &self,
        placed: impl Fn() -> Option<i64>,
        mut crash: impl FnMut() -> Result<()>,
    ) -> Result<Ended> {
        let _alone = alone();
        let mut process = self.start()?;
        for number in 1..=CRASHES {
            let enough = ORDERS * number / (CRASHES + 2);
            let reached = eventually("some orders", SLOW, || {
                if process.has_ended() {
                    return Some(false);
                }
                (placed()? >= enough).then_some(true)
            });
            let goes_on = reached.with_context(|| process.output())?;
            ensure!(
                goes_on,
                "it ended before crash {number}\n{}",
                process.output()
            );
            crash().with_context(|| format!("crash {number}"))?;
        }
        finish(process)
    }
}

/// How a demo ended.
struct Ended {
    status: Option<i32>,
    summary: Value,
    /// Everything that it said.
    output: String,
}

fn finish(mut process: Process) -> Result<Ended> {
    let status = process.wait(DEMO)?.code();
    let summary = serde_json::from_str(&process.last_line());
    let output = process.output();
    Ok(Ended {
        status,
        summary: summary.with_context(|| output.clone())?,
        output,
    })
}

/// All orders ended as planned, and nothing is lost or there twice.
#[track_caller]
fn assert_balanced(ended: &Ended) {
    let Ended {
        status,
        summary,
        output,
    } = ended;
    for (name, count) in ENDED {
        assert_eq!(summary[name], count, "{name} in {output}");
    }
    for name in [
        "stuck",
        "chargedTwice",
        "notRefunded",
        "stockDrift",
        "lostEvents",
    ] {
        assert_eq!(summary[name], 0, "{name} in {output}");
    }
    assert_eq!(*status, Some(0), "{output}");
}

/// How long a run may take until so many orders were placed.
const SLOW: Duration = Duration::from_secs(120);
