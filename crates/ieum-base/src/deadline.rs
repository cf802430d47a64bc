//! A moment after which an answer is of no use.

use std::time::Duration;

use tokio::time::Instant;

/// A moment on the monotonic clock. It travels with a request and only ever gets nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `duration` from now.
    pub fn after(duration: Duration) -> Self {
        // A century stands for "never" where the sum would overflow.
        let never = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(Instant::now() + duration.min(never))
    }

    /// The earlier of this deadline and `duration` from now.
    #[must_use]
    pub fn at_most(self, duration: Duration) -> Self {
        self.min(Self::after(duration))
    }

    /// The time left; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// True once the moment has passed.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The moment itself, for `tokio::time::timeout_at`.
    pub const fn instant(self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_only_gets_nearer() {
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(deadline.at_most(Duration::from_secs(60)), deadline);
        assert_eq!(
            deadline.at_most(Duration::from_secs(1)).left(),
            Duration::from_secs(1)
        );
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(deadline.is_over());
        assert!(!Deadline::after(Duration::MAX).is_over());
    }
}
