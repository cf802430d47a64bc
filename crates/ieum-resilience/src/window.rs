//! A sliding window of two counts, exact to its buckets and free of locks.
//!
//! The breaker counts successes and failures with it, the retry budget requests and retries. A ring
//! of ten buckets, each one atomic word that carries the number of the time slice it counts for: a
//! bucket of an older slice reads as empty and is replaced by the first writer of the new slice, so
//! nobody has to sweep. (An average that decays, as an EWMA does, would remember an outage for as
//! long as it lasted; a count over the last *n* calls would remember it until traffic returns.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: u64 = 10;
/// A word is 24 bits of slice number, 20 bits of one count, 20 bits of the other. A slice number
/// repeats after 16 million slices; a count stops at a million per slice.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const SLICE_MASK: u64 = (1 << 24) - 1;

/// What happened in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) first: u64,
    pub(crate) second: u64,
}

impl Counts {
    pub(crate) const fn total(self) -> u64 {
        self.first + self.second
    }
}

/// Which of the two counts an event belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    First,
    Second,
}

#[derive(Debug)]
pub(crate) struct Window {
    origin: Instant,
    slice_nanos: u64,
    buckets: [AtomicU64; BUCKETS as usize],
}

impl Window {
    /// A window that covers the last `length`: the running slice and the nine before it.
    pub(crate) fn new(length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self {
            origin: Instant::now(),
            slice_nanos: (nanos / BUCKETS).max(1),
            buckets: Default::default(),
        }
    }

    /// Counts one event.
    pub(crate) fn add(&self, now: Instant, column: Column) {
        let slice = self.slice(now);
        let step = match column {
            Column::First => 1,
            Column::Second => 1 << COUNT_BITS,
        };
        let bucket = &self.buckets[(slice % BUCKETS) as usize];
        let tag = slice & SLICE_MASK;
        let update = |word: u64| match word >> (2 * COUNT_BITS) == tag {
            true if is_full(word, column) => None,
            true => Some(word + step),
            false => Some(tag << (2 * COUNT_BITS) | step),
        };
        // `Err` means that this count of the bucket is full, which is all there is to say.
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// The counts over the window.
    pub(crate) fn sum(&self, now: Instant) -> Counts {
        let newest = self.slice(now);
        let oldest = newest.saturating_sub(BUCKETS - 1);
        let mut sum = Counts::default();
        for slice in oldest..=newest {
            let word = self.buckets[(slice % BUCKETS) as usize].load(Ordering::Relaxed);
            if word >> (2 * COUNT_BITS) == slice & SLICE_MASK {
                sum.first += word & COUNT_MASK;
                sum.second += (word >> COUNT_BITS) & COUNT_MASK;
            }
        }
        sum
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    fn slice(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.origin).as_nanos();
        // Slice 0 is never used, so that an untouched bucket belongs to no slice.
        u64::try_from(nanos).unwrap_or(u64::MAX) / self.slice_nanos + 1
    }
}

const fn is_full(word: u64, column: Column) -> bool {
    let count = match column {
        Column::First => word & COUNT_MASK,
        Column::Second => (word >> COUNT_BITS) & COUNT_MASK,
    };
    count == COUNT_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_leave_the_window_slice_by_slice() {
        let window = Window::new(Duration::from_secs(10));
        for second in 0..10 {
            for _ in 0..=second {
                window.add(Instant::now(), Column::First);
            }
            window.add(Instant::now(), Column::Second);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let sum = window.sum(Instant::now());
        assert_eq!(
            (sum.first, sum.second),
            (2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10, 9)
        );
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(window.sum(Instant::now()).first, 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(window.sum(Instant::now()), Counts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_count_stays_full_and_leaves_the_other_alone() {
        let window = Window::new(Duration::from_secs(10));
        let now = Instant::now();
        for _ in 0..COUNT_MASK + 10 {
            window.add(now, Column::First);
        }
        window.add(now, Column::Second);
        let sum = window.sum(now);
        assert_eq!((sum.first, sum.second), (COUNT_MASK, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cleared_window_is_empty() {
        let window = Window::new(Duration::from_secs(1));
        window.add(Instant::now(), Column::Second);
        window.clear();
        assert_eq!(window.sum(Instant::now()).total(), 0);
    }
}
