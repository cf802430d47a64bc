//! What came of a verification, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::matching::Mismatch;

/// What came of verifying one contract.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who needs it.
    pub consumer: String,
    /// Who was asked.
    pub provider: String,
    /// One for each interaction, in the order of the file.
    pub outcomes: Vec<Outcome>,
}

/// What came of one interaction.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The interaction, in words.
    pub interaction: String,
    /// Whether a failure is only reported.
    pub pending: bool,
    /// What differs; empty if it holds.
    #[serde(serialize_with = "mismatches")]
    pub mismatches: Vec<Mismatch>,
}

impl Report {
    /// Whether every interaction holds that is not pending.
    pub fn holds(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| outcome.pending || outcome.holds())
    }

    /// How many interactions hold.
    pub fn held(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.holds())
            .count()
    }
}

impl Outcome {
    /// Whether nothing differs.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, held) = (self.outcomes.len(), self.held());
        writeln!(
            f,
            "{} needs {}: {held} of {all} hold",
            self.consumer, self.provider
        )?;
        for outcome in &self.outcomes {
            let mark = match (outcome.holds(), outcome.pending) {
                (true, _) => "ok",
                (false, true) => "pending",
                (false, false) => "FAILED",
            };
            writeln!(f, "  {mark:<7} {}", outcome.interaction)?;
            for mismatch in &outcome.mismatches {
                writeln!(f, "          {mismatch}")?;
            }
        }
        Ok(())
    }
}

fn mismatches<S: serde::Serializer>(list: &[Mismatch], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        path: &'a str,
        text: &'a str,
    }
    to.collect_seq(
        list.iter()
            .map(|Mismatch { path, text }| Shown { path, text }),
    )
}
