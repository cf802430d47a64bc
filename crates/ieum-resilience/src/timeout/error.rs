//! The failure of a call that took too long.

use std::time::Duration;

use ieum_base::{Fault, HumanDuration, Retry};

/// The call took longer than allowed and was cancelled. Whether it had an effect is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {}", HumanDuration(*after))]
pub struct Elapsed {
    /// The time that was allowed.
    pub after: Duration,
}

impl Elapsed {
    /// What was called is slow.
    pub const fn fault(&self) -> Fault {
        Fault::Upstream
    }

    /// It may succeed later; whether repeating is safe is the caller's to know.
    pub const fn retry(&self) -> Retry {
        Retry::SOON
    }
}

/// The failure of a call through a [`Timeout`](super::Timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The call took too long.
    #[error(transparent)]
    Elapsed(#[from] Elapsed),
    /// The call failed in time.
    #[error("the call failed")]
    Inner(#[source] E),
}
