//! Proofs: which tests there are, and how each went when it last ran.
//!
//! Pages that claim something (coverage, pitfalls) name the tests that prove it. A name that no source
//! has is an error, found without a build; how a test went is what `cargo xtask test` wrote down.

pub(crate) mod announce;
pub(crate) mod outcomes;
pub(crate) mod pages;
pub(crate) mod scan;

use std::collections::BTreeSet;

use anyhow::Result;

use self::outcomes::Outcomes;

/// A test as pages name it: `package module::name`, or `package/target module::name` for what is in
/// a test target of its own.
pub(crate) type TestName = String;

/// How something went that several tests prove together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Each test passed.
    Passed,
    /// At least one failed.
    Failed,
    /// None failed, at least one has not run.
    NotRun,
}

/// The tests of the workspace and their last outcomes.
pub(crate) struct Proofs {
    tests: BTreeSet<TestName>,
    outcomes: Outcomes,
}

impl Proofs {
    /// Reads the sources and the outcomes of the last run.
    pub(crate) fn read() -> Result<Self> {
        Ok(Self {
            tests: scan::tests(&crate::workspace::files(".rs")?),
            outcomes: Outcomes::read()?,
        })
    }

    /// Whether a source has a test of this name.
    pub(crate) fn knows(&self, test: &str) -> bool {
        self.tests.contains(test)
    }

    /// How the one test went.
    pub(crate) fn verdict(&self, test: &str) -> Verdict {
        self.outcomes.of(test)
    }

    /// How all of `tests` went.
    pub(crate) fn verdict_of_all(&self, tests: &[TestName]) -> Verdict {
        together(tests.iter().map(|test| self.verdict(test)))
    }
}

/// The worst of several verdicts; of none, nothing has run.
pub(crate) fn together(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let verdicts: Vec<Verdict> = verdicts.into_iter().collect();
    if verdicts.contains(&Verdict::Failed) {
        Verdict::Failed
    } else if verdicts.is_empty() || verdicts.contains(&Verdict::NotRun) {
        Verdict::NotRun
    } else {
        Verdict::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        use Verdict::{Failed, NotRun, Passed};
        assert_eq!(together([Passed, Passed]), Passed);
        assert_eq!(together([Passed, NotRun]), NotRun);
        assert_eq!(together([NotRun, Failed, Passed]), Failed);
        assert_eq!(together([]), NotRun);
    }
}
