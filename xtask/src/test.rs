//! `cargo xtask test`: builds the binaries, runs every test, and ends with one summary line.
//!
//! A test that did not run proves nothing, so an ignored test and a run without tests are failures.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::proofs::announce;
use crate::proofs::outcomes::Outcomes;
use crate::workspace::{self, cargo};
use crate::{conformance, coverage};

/// Programs that the black-box tests call, and the Debian package that has each.
const PROGRAMS: [(&str, &str); 15] = [
    ("bash", "bash"),
    ("curl", "curl"),
    ("cc", "gcc"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("javac", "default-jdk-headless"),
    ("systemd-analyze", "systemd"),
    ("docker-compose", "docker-compose"),
    ("psql", "postgresql"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("nats-server", "nats-server"),
    ("redis-server", "redis-server"),
    ("chromium", "chromium"),
];

/// The engines that are built for the tests beside the embedded ones.
pub(crate) const ENGINES: &str = "ieum/engines,ieum-server/engines,ieum-sql/postgres,shop/engines";

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: Vec<String>,
    failures: Vec<String>,
    /// The package and the target whose tests run.
    binary: (String, String),
    outcomes: Outcomes,
}

/// Runs the tests whose names contain `filter`, or all.
pub(crate) fn run(filter: &[&str]) -> Result<()> {
    install_missing_programs()?;
    // The black-box tests drive these binaries; building them first keeps them the same for all.
    run_step(
        "building the binaries",
        cargo()
            .args(["build", "-p", "ieum-server", "-p", "shop"])
            .args(["--features", "ieum-server/engines,shop/engines"]),
    )?;
    let mut command = cargo();
    command
        .args(announce::as_runner()?)
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(["--features", ENGINES, "--"])
        .args(filter);
    let findings = conformance::fresh_folder()?;
    command.env(conformance::VARIABLE, &findings);
    let (mut counts, succeeded) = run_tests(command)?;
    report(&counts);
    keep(std::mem::take(&mut counts.outcomes), filter)?;
    if !succeeded || counts.failed > 0 {
        bail!("tests failed");
    }
    if !counts.ignored.is_empty() {
        bail!("an ignored test proves nothing: mend it or delete it");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    match filter {
        [] => {
            conformance::check_page(&findings)?;
            remark_on_pages()
        }
        _ => Ok(()),
    }
}

/// Keeps how each test went, for the pages that name tests as proofs.
fn keep(outcomes: Outcomes, filter: &[&str]) -> Result<()> {
    let mut kept = match filter {
        [] => Outcomes::default(),
        _ => Outcomes::read()?,
    };
    kept.update(outcomes);
    kept.write()
}

/// After a run of all tests: says which pages tell of an older one. What a row claims was checked by a
/// test among them; how that test went is in the page only for its readers.
fn remark_on_pages() -> Result<()> {
    let mut faults = coverage::check(true)?;
    faults.extend(coverage::pitfalls::check(true)?);
    for fault in faults {
        eprintln!("xtask: {fault}");
    }
    Ok(())
}

fn run_step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: {what}");
    workspace::run(command).with_context(|| what.to_owned())
}

fn install_missing_programs() -> Result<()> {
    let missing = packages_of_missing_programs();
    if missing.is_empty() {
        return Ok(());
    }
    run_step(
        "updating Debian's package lists",
        Command::new("apt-get").args(["update", "-qq"]),
    )?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing);
    run_step(&format!("installing {}", missing.join(", ")), &mut install)?;
    match packages_of_missing_programs().as_slice() {
        [] => Ok(()),
        still => bail!("the tests need programs of: {}", still.join(", ")),
    }
}

fn packages_of_missing_programs() -> Vec<&'static str> {
    let missing = PROGRAMS.iter().filter(|(name, _)| !is_installed(name));
    missing.map(|(_, package)| *package).collect()
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Passes the runner's lines through and counts what they say.
fn run_tests(mut command: Command) -> Result<(Counts, bool)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        counts.read(&line);
    }
    Ok((counts, child.wait()?.success()))
}

impl Counts {
    /// Reads `test NAME ... ok|FAILED|ignored`, libtest's line for one test.
    fn read(&mut self, line: &str) {
        if let Some((package, target)) = announce::read(line) {
            self.binary = (package.to_owned(), target.to_owned());
            return;
        }
        let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|l| l.rsplit_once(" ... "))
        else {
            return;
        };
        match outcome.split([',', ' ']).next() {
            Some("ok") => {
                self.passed += 1;
                self.note(name, true);
            }
            Some("FAILED") => {
                self.failed += 1;
                self.note(name, false);
                self.failures.push(name.to_owned());
            }
            Some("ignored") => self.ignored.push(name.to_owned()),
            _ => {}
        }
    }

    fn note(&mut self, test: &str, passed: bool) {
        let (package, target) = &self.binary;
        self.outcomes.note(package, target, test, passed);
    }
}

fn report(counts: &Counts) {
    println!();
    for name in &counts.failures {
        println!("failed: {name}");
    }
    for name in &counts.ignored {
        println!("skipped: {name}");
    }
    let (passed, failed, skipped) = (counts.passed, counts.failed, counts.ignored.len());
    println!("{passed} passed, {failed} failed, {skipped} skipped");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proofs::Verdict;

    #[test]
    fn counts_what_the_runner_prints() {
        let mut counts = Counts::default();
        for line in [
            "test binary crate-x crate_x",
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, needs a server",
            "test crates/x/src/lib.rs - (line 3) ... ok",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out",
        ] {
            counts.read(line);
        }
        assert_eq!((counts.passed, counts.failed), (2, 1));
        assert_eq!(
            (counts.failures, counts.ignored),
            (vec!["a::c".into()], vec!["a::d".into()])
        );
        let of = |test| counts.outcomes.of(test);
        assert_eq!(of("crate-x a::b"), Verdict::Passed);
        assert_eq!(of("crate-x a::c"), Verdict::Failed);
    }
}
