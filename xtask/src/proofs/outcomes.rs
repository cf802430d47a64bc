//! How each test went when it last ran: one line for each, in `target/outcomes`.
//!
//! A run of all tests begins a new file; a run of some replaces the lines of those.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Verdict;
use crate::workspace;

/// More lines than this are not a run of ours; what is beyond is left out.
const MOST: usize = 50_000;

/// By test, as pages name it, whether it passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    passed: BTreeMap<String, bool>,
}

impl Outcomes {
    /// What the last run wrote; nothing if there was none.
    pub(crate) fn read() -> Result<Self> {
        let path = path();
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self::parse(&text))
    }

    /// Takes down that a test of a package's target passed or failed. Doctests have no names that
    /// a page could use.
    pub(crate) fn note(&mut self, package: &str, target: &str, test: &str, passed: bool) {
        if !test.contains(' ') && self.passed.len() < MOST {
            let name = format!("{} {test}", binary(package, target));
            // Targets of one package that share their sources have the same tests: both must pass.
            let both = self.passed.get(&name).is_none_or(|before| *before) && passed;
            self.passed.insert(name, both);
        }
    }

    /// Forgets all that `newer` has, and takes it from there.
    pub(crate) fn update(&mut self, newer: Self) {
        self.passed.extend(newer.passed);
    }

    pub(crate) fn write(&self) -> Result<()> {
        let path = path();
        let lines = self.passed.iter().map(|(test, passed)| {
            let word = if *passed { "passed" } else { "failed" };
            format!("{word} {test}\n")
        });
        std::fs::write(&path, lines.collect::<String>()).with_context(|| path.display().to_string())
    }

    pub(crate) fn of(&self, test: &str) -> Verdict {
        match self.passed.get(test) {
            Some(true) => Verdict::Passed,
            Some(false) => Verdict::Failed,
            None => Verdict::NotRun,
        }
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let passed = lines.map(|(word, test)| (test.to_owned(), word == "passed"));
        Self {
            passed: passed.take(MOST).collect(),
        }
    }
}

/// How pages name a target: by its package, and by itself if it is a test target.
fn binary(package: &str, target: &str) -> String {
    let is_own =
        target == package.replace('-', "_") || (package, target) == ("ieum-server", "ieum");
    if is_own {
        package.to_owned()
    } else {
        format!("{package}/{target}")
    }
}

fn path() -> PathBuf {
    workspace::root().join("target").join("outcomes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_again() {
        let mut run = Outcomes::default();
        run.note("ieum-base", "ieum_base", "a::b", true);
        run.note("ieum-tests", "blackbox", "c", false);
        run.note("ieum-base", "ieum_base", "src/lib.rs - x (line 3)", true);
        assert_eq!(run.of("ieum-base a::b"), Verdict::Passed);
        assert_eq!(run.of("ieum-tests/blackbox c"), Verdict::Failed);
        assert_eq!(run.of("ieum-base c"), Verdict::NotRun);
        assert_eq!(run.passed.len(), 2);
        let text = "passed ieum-base a::b\nfailed ieum-tests/blackbox c\n";
        assert_eq!(Outcomes::parse(text), run);
    }

    #[test]
    fn a_later_run_of_some_replaces_those() {
        let mut all = Outcomes::parse("failed x a\npassed x b\n");
        all.update(Outcomes::parse("passed x a\n"));
        assert_eq!(
            (all.of("x a"), all.of("x b")),
            (Verdict::Passed, Verdict::Passed)
        );
    }

    #[test]
    fn of_two_targets_with_one_source_both_must_pass() {
        let mut run = Outcomes::default();
        run.note("ieum-server", "ieum_server", "a", false);
        run.note("ieum-server", "ieum", "a", true);
        assert_eq!(run.of("ieum-server a"), Verdict::Failed);
    }
}
