//! The refusals of a breaker.

use std::time::Duration;

use ieum_base::{Fault, Retry};

/// The breaker is open: the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    /// The time until a probe may be tried; zero while one is on its way.
    pub retry_after: Duration,
}

impl Open {
    /// What is behind the breaker failed before.
    pub const fn fault(&self) -> Fault {
        Fault::Upstream
    }

    /// Not before the breaker may let a probe through.
    pub const fn retry(&self) -> Retry {
        Retry::After(self.retry_after)
    }
}

/// The failure of a call through a [`CircuitBreaker`](super::CircuitBreaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The call was not made.
    #[error(transparent)]
    Open(#[from] Open),
    /// The call was made and failed.
    #[error("the call failed")]
    Inner(#[source] E),
}
