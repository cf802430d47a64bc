//! One limit for all.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::Instant;

use super::{Allowed, Limited, Quota};

/// A rate limit without keys. Clones share it.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    quota: Quota,
    origin: Instant,
    cell: AtomicU64,
}

impl Limiter {
    /// A limiter whose burst is whole.
    pub fn new(quota: Quota) -> Self {
        Self(Arc::new(Shared {
            quota,
            origin: Instant::now(),
            cell: AtomicU64::new(0),
        }))
    }

    /// Admits or refuses one request.
    pub fn check(&self) -> Result<Allowed, Limited> {
        self.check_at(Instant::now())
    }

    /// The same, for callers who have read the clock already.
    pub fn check_at(&self, now: Instant) -> Result<Allowed, Limited> {
        let nanos = nanos_since(self.0.origin, now);
        self.0.quota.check(&self.0.cell, nanos)
    }
}

pub(super) fn nanos_since(origin: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
}
