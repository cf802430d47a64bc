//! The two questions that every error of ieum answers: whose fault, and whether to try again.

use std::time::Duration;

/// Whose fault an error is. It decides what a caller is told and what an operator is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request was wrong; sending it again unchanged cannot help.
    Caller,
    /// Something that we called failed or did not answer.
    Upstream,
    /// We failed: a defect, a full disk, a lost lease.
    Here,
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would fail the same way.
    Never,
    /// It may succeed, not before this long from now (zero: at once, with backoff).
    After(Duration),
    /// It might succeed, but the budget, the attempts or the deadline are used up.
    Exhausted,
}

impl Retry {
    /// It may succeed at any time; the caller's backoff decides when.
    pub const SOON: Self = Self::After(Duration::ZERO);

    /// True if another attempt makes sense.
    pub const fn is_worthwhile(self) -> bool {
        matches!(self, Self::After(_))
    }
}
