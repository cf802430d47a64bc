//! The refusals of a rate limit.

use std::time::Duration;

use ieum_base::{Fault, Retry};

/// The limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit of {limit} is used up")]
pub struct Limited {
    /// The size of the burst.
    pub limit: u32,
    /// The time until one request is allowed again.
    pub retry_after: Duration,
    /// The time until the whole burst is.
    pub reset: Duration,
}

impl Limited {
    /// The caller sends too much.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }

    /// Not before one request is allowed again.
    pub const fn retry(&self) -> Retry {
        Retry::After(self.retry_after)
    }
}

/// The failure of a call through a [`RateLimit`](super::RateLimit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The call was not made.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The call was made and failed.
    #[error("the call failed")]
    Inner(#[source] E),
}
