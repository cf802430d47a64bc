//! What happened in the last minute: calls, failures and latencies, second by second.
//!
//! A ring has one slot for each second. A slot that holds an older second is begun anew by the first
//! call of its next one, so nobody has to sweep; what is older than the ring is not counted at all.

use ieum_remote::wire::overview::Load;

/// The length of the window, in seconds.
pub(crate) const WINDOW: u64 = 60;

/// The window of one service or one edge.
pub(super) struct Ring(Box<[Slot]>);

/// One second.
#[derive(Clone, Copy)]
struct Slot {
    second: u64,
    calls: u32,
    failed: u32,
    took: [u16; BUCKETS],
}

/// What is in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failed: u64,
    took: [u64; BUCKETS],
}

/// The latency of a call, as far as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Microseconds.
    pub(super) took: u64,
    pub(super) failed: bool,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self(vec![Slot::NEVER; WINDOW as usize].into())
    }

    /// Counts a call in `second`; one that is older than what its slot holds is not counted.
    pub(super) fn add(&mut self, second: u64, call: Call) {
        let slot = &mut self.0[(second % WINDOW) as usize];
        if slot.second != second {
            if slot.second != NEVER && slot.second > second {
                return;
            }
            *slot = Slot {
                second,
                ..Slot::NEVER
            };
        }
        slot.calls = slot.calls.saturating_add(1);
        slot.failed = slot.failed.saturating_add(u32::from(call.failed));
        let bucket = &mut slot.took[bucket_of(call.took)];
        *bucket = bucket.saturating_add(1);
    }

    /// The sum over the second `now` and those before it in the window.
    pub(super) fn sum(&self, now: u64) -> Totals {
        let mut sum = Totals::NONE;
        for slot in self.present(now) {
            sum.calls += u64::from(slot.calls);
            sum.failed += u64::from(slot.failed);
            for (sum, count) in sum.took.iter_mut().zip(slot.took) {
                *sum += u64::from(count);
            }
        }
        sum
    }

    /// True if nothing is in the window.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        self.present(now).next().is_none()
    }

    fn present(&self, now: u64) -> impl Iterator<Item = &Slot> {
        let is_present = move |slot: &&Slot| slot.second <= now && now - slot.second < WINDOW;
        self.0.iter().filter(is_present)
    }
}

impl Slot {
    const NEVER: Self = Self {
        second: NEVER,
        calls: 0,
        failed: 0,
        took: [0; BUCKETS],
    };
}

impl Totals {
    pub(super) const NONE: Self = Self {
        calls: 0,
        failed: 0,
        took: [0; BUCKETS],
    };

    /// As rates and latencies.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a minute stay far below 2^52"
    )]
    pub(super) fn load(&self) -> Load {
        Load {
            rate: self.calls as f64 / WINDOW as f64,
            error_rate: self.failed as f64 / self.calls.max(1) as f64,
            p50_ms: self.percentile(50),
            p99_ms: self.percentile(99),
        }
    }

    /// The latency that `percent` of the calls did not exceed, in milliseconds, as far as the buckets
    /// tell: spread evenly over the bucket that it falls into.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and bounds stay far below 2^52"
    )]
    fn percentile(&self, percent: u64) -> f64 {
        let all: u64 = self.took.iter().sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut before = 0;
        for (bucket, count) in self.took.iter().enumerate() {
            if before + count >= rank {
                let (low, high) = bounds(bucket);
                let share = (rank - before) as f64 / *count as f64;
                return (low as f64 + share * (high - low) as f64) / 1_000.0;
            }
            before += count;
        }
        0.0
    }
}

/// Two buckets for each power of two: bounds are at most half apart.
fn bucket_of(micros: u64) -> usize {
    if micros < 1 << FIRST {
        return 0;
    }
    let power = micros.ilog2();
    let half = (micros >> (power - 1)) & 1;
    let bucket = 1 + 2 * (power - FIRST) as usize + half as usize;
    bucket.min(BUCKETS - 1)
}

/// The microseconds at which a bucket begins, and those before which it ends.
const fn bounds(bucket: usize) -> (u64, u64) {
    if bucket == 0 {
        return (0, 1 << FIRST);
    }
    let place = bucket as u64 - 1;
    let power = FIRST as u64 + place / 2;
    let step = 1 << (power - 1);
    let low = (1 << power) + (place % 2) * step;
    (low, low + step)
}

/// The first bucket ends at 2^7 = 128 µs, the last one begins at 2^25 µs, some 33 s.
const FIRST: u32 = 7;
const BUCKETS: usize = 38;
/// The second of a slot that was never used.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use ieum_base::Rng;

    use super::*;

    fn call(took: u64) -> Call {
        Call {
            took,
            failed: false,
        }
    }

    #[test]
    fn each_latency_falls_between_the_bounds_of_its_bucket() {
        for micros in (0..20_000).chain((14..25).map(|power| (1 << power) - 1)) {
            let (low, high) = bounds(bucket_of(micros));
            assert!(low <= micros && micros < high, "{micros}: {low}..{high}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn agrees_with_a_list_of_all_calls() {
        let rng = Rng::seeded(6);
        let mut ring = Ring::new();
        let mut list: Vec<(u64, Call)> = Vec::new();
        let mut now = 100;
        for _ in 0..20_000 {
            now += u64::from(rng.below(50) == 0);
            let second = now - rng.below(70) as u64;
            let call = Call {
                took: 1 << rng.below(22),
                failed: rng.below(3) == 0,
            };
            // What is older than the window never was.
            if now - second < WINDOW {
                ring.add(second, call);
                list.push((second, call));
            }
            if rng.below(100) == 0 {
                let present: Vec<_> = list.iter().filter(|(s, _)| now - s < WINDOW).collect();
                let failed = present.iter().filter(|(_, call)| call.failed).count();
                let sum = ring.sum(now);
                let expected = (present.len() as u64, failed as u64);
                assert_eq!((sum.calls, sum.failed), expected);
                let mut took: Vec<_> = present.iter().map(|(_, call)| call.took).collect();
                took.sort_unstable();
                check_percentile(&sum, &took, 50);
                check_percentile(&sum, &took, 99);
            }
        }
    }

    /// The answer lies in the bucket of the exact one.
    fn check_percentile(sum: &Totals, sorted: &[u64], percent: usize) {
        let Some(rank) = (sorted.len() * percent).div_ceil(100).checked_sub(1) else {
            return;
        };
        let (low, high) = bounds(bucket_of(sorted[rank]));
        let told = sum.percentile(percent as u64) * 1_000.0;
        assert!(
            low as f64 <= told && told <= high as f64,
            "{told} is not in {low}..{high}"
        );
    }

    #[test]
    fn what_is_a_minute_old_is_gone_and_an_empty_window_is_zero() {
        let mut ring = Ring::new();
        ring.add(100, call(3_000));
        assert_eq!(ring.sum(159).calls, 1);
        assert!(ring.is_idle(160));
        assert_eq!(ring.sum(160).load(), Load::default());
    }

    #[test]
    fn a_call_of_an_older_round_does_not_wipe_a_newer_one() {
        let mut ring = Ring::new();
        ring.add(160, call(1));
        ring.add(100, call(1));
        assert_eq!(ring.sum(160).calls, 1);
    }
}
