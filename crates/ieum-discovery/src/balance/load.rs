//! What an endpoint is carrying, and how long it takes: two atomic words, no lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Config;

/// The stamp of an estimate that nothing was measured for.
const GUESSED: u32 = u32::MAX;

/// Requests in flight, and a peak-sensitive moving average of latency. Shared by all threads.
///
/// The first answer, and one that is slower than the estimate, becomes it at once; faster answers, and
/// silence, lower it slowly. The idea is Finagle's `peak EWMA`.
#[derive(Debug)]
pub struct Load {
    config: Config,
    origin: Instant,
    in_flight: AtomicUsize,
    /// The estimate in microseconds (`f32`, upper half) and when it was made, in milliseconds after
    /// `origin` (lower half; it wraps after 49 days, which only makes one estimate look fresh).
    estimate: AtomicU64,
}

impl Load {
    /// The load of an endpoint that nobody has called.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            origin: Instant::now(),
            in_flight: AtomicUsize::new(0),
            estimate: AtomicU64::new(pack(micros(config.first_estimate.0), GUESSED)),
        }
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The latency that is expected at `now`.
    pub fn latency(&self, now: Instant) -> Duration {
        Duration::from_micros(self.expected(now) as u64)
    }

    /// What one more request would cost at `now`: expected latency × (in flight + 1). Nothing for an
    /// endpoint that has never answered and is not being asked: one request finds out, where a
    /// guess would leave it idle beside a fast one for a minute.
    pub fn cost(&self, now: Instant) -> f64 {
        if self.in_flight() == 0 && self.is_unknown() {
            return 0.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "far below 2^52 requests in flight"
        )]
        let queue = (self.in_flight() + 1) as f64;
        f64::from(self.expected(now)) * queue
    }

    /// True until the first answer.
    fn is_unknown(&self) -> bool {
        unpack(self.estimate.load(Ordering::Relaxed)).1 == GUESSED
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended, however.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// An answer took `latency`.
    pub(crate) fn observe(&self, now: Instant, latency: Duration) {
        self.update(now, |expected, new_share| {
            let seen = micros(latency);
            if seen > expected || self.is_unknown() {
                seen
            } else {
                expected + (seen - expected) * new_share
            }
        });
    }

    /// An answer took at least `elapsed`, and nobody waited for its end.
    pub(crate) fn observe_at_least(&self, now: Instant, elapsed: Duration) {
        self.update(now, |expected, _| expected.max(micros(elapsed)));
    }

    /// A failure: it counts as a long answer.
    pub(crate) fn penalise(&self, now: Instant, retry_after: Option<Duration>) {
        let penalty = retry_after
            .unwrap_or_default()
            .max(self.config.failure_penalty.0)
            .min(self.config.longest_penalty.0);
        self.observe(now, penalty);
    }

    /// `next` gets the last estimate and the share of it that time has made obsolete.
    fn update(&self, now: Instant, next: impl Fn(f32, f32) -> f32) {
        let at = self.millis(now);
        let renew = |word| {
            let (expected, made) = unpack(word);
            Some(pack(next(expected, 1.0 - self.kept(made, at)), at))
        };
        // The closure always answers `Some`, so there is no error to look at.
        let _ = self
            .estimate
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, renew);
    }

    fn expected(&self, now: Instant) -> f32 {
        let (expected, made) = unpack(self.estimate.load(Ordering::Relaxed));
        expected * self.kept(made, self.millis(now))
    }

    /// The share of an estimate that is still believed.
    fn kept(&self, made: u32, at: u32) -> f32 {
        let made = if made == GUESSED { 0 } else { made };
        let elapsed = at.wrapping_sub(made);
        // Another thread may have read the clock a moment later: "negative" is none.
        let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
        let elapsed = Duration::from_millis(u64::from(elapsed));
        let decay = self.config.decay.0.max(Duration::from_millis(1));
        (-elapsed.as_secs_f32() / decay.as_secs_f32()).exp()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the stamp wraps by design")]
    fn millis(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.origin).as_millis() as u32
    }
}

fn micros(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1e6
}

fn pack(estimate: f32, at: u32) -> u64 {
    u64::from(estimate.to_bits()) << 32 | u64::from(at)
}

#[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
const fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(load: &Load) -> u128 {
        load.latency(Instant::now()).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
        let load = Load::new(Config::default());
        assert_eq!(millis(&load), 30);
        load.observe(Instant::now(), Duration::from_millis(400));
        assert_eq!(millis(&load), 400);
        tokio::time::advance(Duration::from_secs(1)).await;
        load.observe(Instant::now(), Duration::from_millis(10));
        assert!((300..400).contains(&millis(&load)), "{}", millis(&load));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(millis(&load) < 5, "{}", millis(&load));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_costs_more_than_any_ordinary_answer() {
        let load = Load::new(Config::default());
        load.penalise(Instant::now(), None);
        assert_eq!(millis(&load), 5_000);
        load.penalise(Instant::now(), Some(Duration::from_secs(3_600)));
        assert_eq!(millis(&load), 300_000);
    }

    #[tokio::test(start_paused = true)]
    async fn cost_grows_with_what_is_in_flight() {
        let load = Load::new(Config::default());
        load.observe(Instant::now(), Duration::from_millis(40));
        let idle = load.cost(Instant::now());
        load.begin();
        assert!((load.cost(Instant::now()) / idle - 2.0).abs() < 1e-6);
        load.end();
        assert_eq!(load.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_has_never_answered_is_tried_once() {
        let (known, new) = (Load::new(Config::default()), Load::new(Config::default()));
        known.observe(Instant::now(), Duration::from_millis(1));
        assert!(new.cost(Instant::now()) < known.cost(Instant::now()));
        new.begin();
        assert!(new.cost(Instant::now()) > known.cost(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_waited_for_only_raises_the_estimate() {
        let load = Load::new(Config::default());
        load.observe_at_least(Instant::now(), Duration::from_millis(1));
        assert_eq!(millis(&load), 30);
        load.observe_at_least(Instant::now(), Duration::from_secs(2));
        assert_eq!(millis(&load), 2_000);
    }
}
