//! The arithmetic of GCRA on one word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Limited;

/// So many requests per time, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds from one request on schedule to the next.
    interval: u64,
    burst: u32,
}

/// An admitted request, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The size of the burst.
    pub limit: u32,
    /// How many more would be admitted at this moment.
    pub remaining: u32,
    /// The time until the whole burst is available again.
    pub reset: Duration,
}

impl Quota {
    /// `requests` per `per`, of which `burst` may come at once. Zeros count as one (a nanosecond, a
    /// request).
    pub fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval: (per / u64::from(requests.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    /// The size of the burst.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time from one request on schedule to the next.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The answer to an admitted request after which the schedule is empty in `debt`; for stores that
    /// reckon elsewhere.
    pub fn admitted(&self, debt: Duration) -> Allowed {
        let debt = u64::try_from(debt.as_nanos()).unwrap_or(u64::MAX);
        self.allowed(debt.min(self.tolerance()))
    }

    /// The time in which a used-up burst is whole again.
    pub const fn whole_after(&self) -> Duration {
        Duration::from_nanos(self.tolerance())
    }

    const fn tolerance(&self) -> u64 {
        self.interval.saturating_mul(self.burst as u64)
    }

    /// Admits or refuses a request at `now`; `cell` is the time at which the schedule is empty, both
    /// in nanoseconds on one clock. A refused request costs nothing.
    pub(super) fn check(&self, cell: &AtomicU64, now: u64) -> Result<Allowed, Limited> {
        let mut empty_at = cell.load(Ordering::Relaxed);
        loop {
            let next = empty_at.max(now).saturating_add(self.interval);
            let debt = next - now;
            if debt > self.tolerance() {
                return Err(Limited {
                    limit: self.burst,
                    retry_after: Duration::from_nanos(debt - self.tolerance()),
                    reset: Duration::from_nanos(empty_at.saturating_sub(now)),
                });
            }
            match cell.compare_exchange_weak(empty_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(self.allowed(debt)),
                Err(actual) => empty_at = actual,
            }
        }
    }

    fn allowed(&self, debt: u64) -> Allowed {
        let remaining = (self.tolerance() - debt) / self.interval;
        Allowed {
            limit: self.burst,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(debt),
        }
    }
}
