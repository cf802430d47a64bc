//! The refusals of a bulkhead.

use ieum_base::{Fault, Retry};

/// No place was free in time: the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Full {
    /// As many as allowed are waiting already.
    #[error("the bulkhead's queue is full")]
    Queue,
    /// No place became free within the wait.
    #[error("the bulkhead had no free place in time")]
    Wait,
}

impl Full {
    /// What is behind the bulkhead is slower than its load.
    pub const fn fault(&self) -> Fault {
        Fault::Upstream
    }

    /// Later, with backoff.
    pub const fn retry(&self) -> Retry {
        Retry::SOON
    }
}

/// The failure of a call through a [`BulkheadService`](super::BulkheadService).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The call was not made.
    #[error(transparent)]
    Full(#[from] Full),
    /// The call was made and failed.
    #[error("the call failed")]
    Inner(#[source] E),
}
