//! What a breaker remembers of its changes, for people: when it opened or closed, and why.
//!
//! It is written under the lock that each change of state takes anyway, so a call that works never
//! comes near it.

use std::collections::VecDeque;
use std::fmt;

use tokio::time::Instant;

use super::State;

/// A change of state that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// So many calls failed one after the other.
    Consecutive {
        /// How many.
        failures: u32,
    },
    /// Too large a share of the calls in the window failed.
    Rate {
        /// How many failed.
        failures: u64,
        /// Of how many.
        calls: u64,
    },
    /// It had been open for long enough, and a call came.
    Elapsed,
    /// The probe failed.
    ProbeFailed,
    /// The probe went well, and more are wanted.
    ProbeWanted,
    /// Nothing was learnt from the probe.
    ProbeLost,
    /// As many probes went well as were wanted.
    Recovered,
    /// Somebody closed it by hand.
    Reset,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive { failures } => write!(f, "{failures} calls in a row failed"),
            Self::Rate { failures, calls } => {
                write!(f, "{failures} of {calls} calls in the window failed")
            }
            Self::Elapsed => f.write_str("it was open for long enough; a probe is sent"),
            Self::ProbeFailed => f.write_str("the probe failed"),
            Self::ProbeWanted => f.write_str("the probe went well; another is wanted"),
            Self::ProbeLost => f.write_str("the probe was given up; the next call is another"),
            Self::Recovered => f.write_str("the probe went well"),
            Self::Reset => f.write_str("it was closed by hand"),
        }
    }
}

/// The last changes. An untouched one allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The oldest first.
    changes: VecDeque<Change>,
    /// How many there ever were.
    total: u64,
}

impl Journal {
    pub(super) fn note(&mut self, change: Change) {
        if self.changes.len() >= MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.total += 1;
    }

    /// The latest first.
    pub(super) fn read(&self) -> Vec<Change> {
        self.changes.iter().rev().copied().collect()
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }
}

/// The most changes that are remembered.
const MOST_CHANGES: usize = 20;
