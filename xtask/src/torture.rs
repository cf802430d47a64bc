//! `cargo xtask torture shop`: the chaos demo, again and again, each time with other kills.
//!
//! Every run prints its summary as one line of JSON with the seed that repeats it; the last line sums
//! them up. One run that does not balance, or whose kills hit nothing, fails the whole.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::workspace::{self, cargo};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    runs: u64,
    /// The seed of the first run; each further one adds one.
    seed: u64,
    kills: u64,
    orders: u64,
    /// Whether people read along.
    json: bool,
    /// Passed on to the demo.
    rest: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            runs: 10,
            seed: 1,
            kills: 12,
            orders: 500,
            json: false,
            rest: Vec::new(),
        }
    }
}

/// What must be 0 in every run.
const ZEROES: [&str; 5] = [
    "stuck",
    "chargedTwice",
    "notRefunded",
    "stockDrift",
    "lostEvents",
];

/// Runs the chaos demo as `args` say. An error if one run did not balance.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let plan = Plan::parse(args)?;
    let shop = shop()?;
    let mut total = Total::default();
    for run in 0..plan.runs {
        let seed = plan.seed.wrapping_add(run);
        let (summary, balanced) = plan.demo(&shop, seed)?;
        if !plan.json {
            let word = if balanced {
                "balances"
            } else {
                "DOES NOT BALANCE"
            };
            eprintln!("run {} of {}, --seed {seed}: {word}", run + 1, plan.runs);
        }
        println!("{}", Value::Object(summary.clone()));
        total.add(&summary, balanced);
    }
    println!("{}", total.summary());
    if total.balanced < total.runs {
        bail!("{} runs did not balance", total.runs - total.balanced);
    }
    Ok(())
}

/// The shop's binary: built now, or from the folder that `IEUM_BIN_DIR` names, as for the tests.
fn shop() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("IEUM_BIN_DIR") {
        return Ok(PathBuf::from(folder).join("shop"));
    }
    let mut build = cargo();
    workspace::run(build.args(["build", "--quiet", "-p", "shop"])).context("building the shop")?;
    Ok(workspace::root().join("target/debug/shop"))
}

impl Plan {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut plan = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64> {
                let value = words
                    .next()
                    .with_context(|| format!("{word} needs a number"))?;
                value.parse().with_context(|| format!("{word} {value}"))
            };
            match *word {
                "--runs" => plan.runs = number()?,
                "--seed" => plan.seed = number()?,
                "--kills" => plan.kills = number()?,
                "--orders" => plan.orders = number()?,
                "--json" => plan.json = true,
                "--" => {
                    plan.rest.extend(words.map(|word| (*word).to_owned()));
                    break;
                }
                "--flow" => {
                    let flow = words.next().context("--flow needs a value")?;
                    plan.rest.extend([(*word).to_owned(), (*flow).to_owned()]);
                }
                "--polyglot" => plan.rest.push((*word).to_owned()),
                other => bail!("torture does not know {other}; flags of the demo come after `--`"),
            }
        }
        Ok(plan)
    }

    /// One run: its summary with its seed, and whether all is well.
    fn demo(&self, shop: &Path, seed: u64) -> Result<(Map<String, Value>, bool)> {
        let number = |n: u64| n.to_string();
        let mut demo = Command::new(shop);
        demo.args(["demo", "--processes", "--chaos", "--exit", "--json"])
            .args([
                "--kills",
                &number(self.kills),
                "--orders",
                &number(self.orders),
            ])
            .args(["--seed", &number(seed)])
            .args(&self.rest);
        demo.stdin(Stdio::null()).stderr(Stdio::piped());
        let output = demo.output().context("cannot run the shop")?;
        let words = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        let line = printed.lines().last().unwrap_or_default();
        let mut summary: Map<String, Value> = serde_json::from_str(line)
            .with_context(|| format!("--seed {seed} ended without a summary:\n{words}"))?;
        let balanced = output.status.success() && is_well(&summary, self.kills);
        if !balanced {
            eprintln!("--seed {seed}:\n{words}");
        }
        summary.insert("seed".to_owned(), json!(seed));
        summary.insert("balanced".to_owned(), json!(balanced));
        Ok((summary, balanced))
    }
}

/// Nothing is wrong, every kill that was asked for hit something open, and of these every fourth was
/// the platform's.
fn is_well(summary: &Map<String, Value>, kills: u64) -> bool {
    let number = |name: &str| summary.get(name).and_then(Value::as_u64);
    ZEROES.iter().all(|name| number(name) == Some(0))
        && number("killsWhileOpen") >= Some(kills)
        && number("platformKills") >= Some(kills / 4)
        && number("rowsAudited") > Some(0)
}

/// All runs together.
#[derive(Debug, Default)]
struct Total {
    runs: u64,
    balanced: u64,
    sums: Map<String, Value>,
    slowest: u64,
}

impl Total {
    fn add(&mut self, summary: &Map<String, Value>, balanced: bool) {
        self.runs += 1;
        self.balanced += u64::from(balanced);
        let number = |name: &str| summary.get(name).and_then(Value::as_u64).unwrap_or(0);
        let counts = [
            "orders",
            "kills",
            "platformKills",
            "killsWhileOpen",
            "sagasRecovered",
        ];
        for name in counts.into_iter().chain(ZEROES) {
            let sum = self.sums.get(name).and_then(Value::as_u64).unwrap_or(0);
            self.sums.insert(name.to_owned(), json!(sum + number(name)));
        }
        self.slowest = self.slowest.max(number("p99Ms"));
    }

    fn summary(&self) -> Value {
        let mut all = self.sums.clone();
        all.insert("runs".to_owned(), json!(self.runs));
        all.insert("balanced".to_owned(), json!(self.balanced));
        all.insert("slowestP99Ms".to_owned(), json!(self.slowest));
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(stuck: u64, while_open: u64) -> Map<String, Value> {
        let mut summary = Map::new();
        for name in ZEROES {
            summary.insert(name.to_owned(), json!(0));
        }
        summary.insert("stuck".to_owned(), json!(stuck));
        summary.insert("killsWhileOpen".to_owned(), json!(while_open));
        summary.insert("platformKills".to_owned(), json!(while_open / 4));
        summary.insert("rowsAudited".to_owned(), json!(7));
        summary
    }

    #[test]
    fn a_run_is_well_if_nothing_is_wrong_and_every_kill_hit() {
        assert!(is_well(&summary(0, 12), 12));
        assert!(!is_well(&summary(1, 12), 12));
        assert!(!is_well(&summary(0, 11), 12));
        assert!(!is_well(&Map::new(), 0));
    }

    #[test]
    fn one_bad_run_shows_in_the_sum() {
        let mut total = Total::default();
        total.add(&summary(0, 12), true);
        total.add(&summary(2, 12), false);
        let all = total.summary();
        assert_eq!((&all["runs"], &all["balanced"]), (&json!(2), &json!(1)));
        assert_eq!(
            (&all["stuck"], &all["killsWhileOpen"]),
            (&json!(2), &json!(24))
        );
    }

    #[test]
    fn flags_are_read_and_what_is_unknown_is_refused() {
        let words = [
            "--runs",
            "2",
            "--flow",
            "choreographed",
            "--",
            "--decline",
            "5",
        ];
        let plan = Plan::parse(&words).expect("valid");
        assert_eq!((plan.runs, plan.orders), (2, 500));
        assert_eq!(plan.rest, ["--flow", "choreographed", "--decline", "5"]);
        assert!(Plan::parse(&["--rnus", "2"]).is_err());
        assert!(Plan::parse(&["--runs"]).is_err());
    }
}
