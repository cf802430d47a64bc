//! Time, so that a test can own it.
//!
//! Wall-clock readings come from [`Clock`]; waiting goes through tokio's timer, which a test pauses
//! and advances. Nothing else in the workspace reads the system's clock (clippy forbids it).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z. In JSON and text it is an RFC 3339 string in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant moved forward by `duration` (saturating).
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant:.6}"),
            Err(_) => write!(f, "{}µs", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self(instant.as_microsecond()))
            .map_err(|error| format!("`{text}` is not an RFC 3339 time: {error}"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the time of day comes from. Clones read the same source.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The time of day. It may step backwards; durations are measured with [`tokio::time::Instant`].
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(micros) => Timestamp(micros.load(Ordering::Acquire)),
        }
    }

    /// A new id: UUID version 7 (RFC 9562), so that ids made later sort later.
    pub fn new_id(&self) -> uuid::Uuid {
        let now = self.now().as_micros();
        let seconds = u64::try_from(now.div_euclid(1_000_000)).unwrap_or(0);
        let nanos = u32::try_from(now.rem_euclid(1_000_000)).unwrap_or(0) * 1_000;
        uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
    }

    /// Waits for `duration` on tokio's timer. Cancel safe.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self.0, Source::System) {
            "system"
        } else {
            "manual"
        };
        f.debug_tuple("Clock").field(&kind).finish()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    /// The clock to hand to the code under test.
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// Moves the time forward.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::AcqRel);
    }

    /// Sets the time, also backwards: clocks do step.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::Release);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
fn system_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_json() {
        let at: Timestamp = "2024-01-01T00:00:00.25Z".parse().expect("a valid time");
        assert_eq!(
            serde_json::to_string(&at).expect("a string"),
            "\"2024-01-01T00:00:00.250000Z\""
        );
        let back: Timestamp =
            serde_json::from_str("\"2024-01-01T09:00:00.25+09:00\"").expect("valid");
        assert_eq!(back, at);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let manual = ManualClock::starting_at(Timestamp::from_micros(5));
        let clock = manual.clock();
        assert_eq!(clock.now().as_micros(), 5);
        manual.advance(Duration::from_millis(2));
        assert_eq!(
            clock.now().since(Timestamp::from_micros(5)),
            Duration::from_millis(2)
        );
        manual.set(Timestamp::from_micros(1));
        assert_eq!(clock.now().since(Timestamp::from_micros(5)), Duration::ZERO);
    }

    #[test]
    fn ids_made_at_one_moment_differ() {
        let clock = ManualClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000)).clock();
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| clock.new_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn ids_made_later_sort_later() {
        let manual = ManualClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000));
        let first = manual.clock().new_id();
        manual.advance(Duration::from_millis(1));
        assert!(first < manual.clock().new_id());
    }
}
