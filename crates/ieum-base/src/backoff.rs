//! How long to wait before the next attempt.
//!
//! Full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter", 2015): the wait is drawn
//! evenly from zero to an exponentially growing ceiling, so that callers that failed together do not
//! come back together.

use std::time::Duration;

use crate::Rng;

/// A bounded exponential backoff. Reading a delay never changes the value: the attempt is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    jitter: bool,
}

impl Backoff {
    /// A backoff whose ceiling starts at `first`, doubles with each attempt, and never exceeds `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            jitter: true,
        }
    }

    /// The same ceilings without jitter: the delay *is* the ceiling (1 s, 2 s, 4 s, …).
    #[must_use]
    pub const fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// The ceiling before attempt number `attempt`, where 1 is the first *repeated* attempt.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// The delay before attempt number `attempt`: the ceiling, or an even draw below it.
    pub fn delay(&self, attempt: u32, rng: &Rng) -> Duration {
        let ceiling = self.ceiling(attempt);
        if self.jitter {
            ceiling.mul_f64(rng.fraction())
        } else {
            ceiling
        }
    }
}

impl Default for Backoff {
    /// 25 ms to 250 ms with full jitter: Envoy's default.
    fn default() -> Self {
        Self::new(Duration::from_millis(25), Duration::from_millis(250))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5)).without_jitter();
        let delays: Vec<u64> = (1..=5)
            .map(|n| backoff.delay(n, &Rng::seeded(1)).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(5));
    }

    #[test]
    fn jitter_stays_below_the_ceiling_and_spreads() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let rng = Rng::seeded(7);
        let draws: Vec<Duration> = (0..200).map(|_| backoff.delay(1, &rng)).collect();
        assert!(draws.iter().all(|d| *d <= Duration::from_millis(100)));
        assert!(draws.iter().any(|d| *d < Duration::from_millis(20)));
        assert!(draws.iter().any(|d| *d > Duration::from_millis(80)));
    }
}
