//! A share of a route's requests, compiled: a point for each request, and the line that it is held
//! against.
//!
//! A point is a number of 64 bits, made of the request's key or of its turn, and the new side has all
//! points below `percent` hundredths of their range. So a share that grows takes keys over and gives
//! none back, and a share of 0 or 100 has no exceptions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use crate::config::{JwtConfig, SplitBy, SplitConfig};
use crate::upstream::{Address, Upstream};

/// A split that was read and found sensible.
#[derive(Debug)]
pub(crate) struct PlannedSplit {
    pub(crate) address: Address,
    pub(crate) share: Share,
    pub(crate) key: SplitKey,
    pub(crate) old_if_absent: bool,
}

/// A split, compiled.
pub(crate) struct Split {
    /// The new side.
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) share: Share,
    pub(crate) key: SplitKey,
    pub(crate) old_if_absent: bool,
    /// Counts turns; the same before and after a reload, and for all threads.
    pub(crate) turns: Arc<AtomicU64>,
    pub(crate) counts: SideCounts,
}

/// What a request's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SplitKey {
    Turn,
    User,
    /// What the identity says in this header.
    Told(HeaderName),
    Header(HeaderName),
    Cookie(Box<str>),
}

/// A share of all requests: the points below a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// One more than the highest point of the share; the range ends at 2^64.
    line: u128,
}

/// Where a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The route's own upstream.
    Old,
    /// The split's upstream.
    New,
    /// The route's own, although it was on the new side: nobody was there.
    Absent,
}

/// Counters of where requests went.
#[derive(Clone, Debug)]
pub(crate) struct SideCounts(pub(crate) [Counter; Side::ALL.len()]);

/// The share of a route that goes to another upstream, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitInfo {
    /// The service or address of the new side.
    pub upstream: String,
    /// How many of a hundred go there.
    pub percent: u32,
    /// What decides on which side a request is.
    pub by: SplitBy,
    /// Whether the old side answers while nobody of the new one does.
    pub old_if_absent: bool,
}

impl SplitInfo {
    pub(crate) fn new(split: &Split, config: &SplitConfig) -> Self {
        Self {
            upstream: split.upstream.name.to_string(),
            percent: config.percent,
            by: config.by.clone(),
            old_if_absent: config.old_if_absent,
        }
    }
}

impl Share {
    /// So many of a hundred.
    pub(crate) fn of(percent: u32) -> Self {
        Self {
            line: u128::from(percent.min(100)) * (1 << 64) / 100,
        }
    }

    /// True if the point belongs to it.
    pub(crate) fn has(self, point: u64) -> bool {
        u128::from(point) < self.line
    }
}

impl SplitKey {
    /// The key that is configured; `None` for a claim that nothing is told of.
    pub(crate) fn of(by: &SplitBy, jwt: Option<&JwtConfig>) -> Option<Self> {
        Some(match by {
            SplitBy::Request => Self::Turn,
            SplitBy::User => Self::User,
            SplitBy::Claim(claim) if jwt?.user_claim == *claim => Self::User,
            SplitBy::Claim(claim) => {
                let names = jwt?.header_mapping().remove(claim)?;
                Self::Told(names.first()?.parse().ok()?)
            }
            SplitBy::Header(name) => Self::Header(name.parse().ok()?),
            SplitBy::Cookie(name) => Self::Cookie(name.as_str().into()),
        })
    }
}

impl Split {
    /// Makes it; turns go on where those of `before` are.
    pub(crate) fn build(
        plan: PlannedSplit,
        upstream: impl Fn(&Address) -> Arc<Upstream>,
        counts: SideCounts,
        before: Option<&Self>,
    ) -> Self {
        Self {
            upstream: upstream(&plan.address),
            share: plan.share,
            key: plan.key,
            old_if_absent: plan.old_if_absent,
            turns: before.map_or_else(Arc::default, |split| Arc::clone(&split.turns)),
            counts,
        }
    }

    /// The point of the next request without a key. Turns are spread so that not only all requests are
    /// shared as configured, but also every second, third and so on of them: a caller that writes and
    /// reads in turns has a share of both.
    pub(crate) fn next_turn(&self) -> u64 {
        point_of_turn(self.turns.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Split").field(&self.upstream).finish()
    }
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Old, Self::New, Self::Absent];

    /// Its name in metrics and spans.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::Absent => "absent",
        }
    }
}

impl SideCounts {
    pub(crate) fn count(&self, side: Side) {
        self.0[side as usize].inc();
    }
}

/// Multiples of the golden ratio: of all sequences the one that leaves the smallest gaps.
const fn point_of_turn(turn: u64) -> u64 {
    turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The point of a key. Every gateway, whatever its version, must find the same: it is FNV-1a, whose
/// upper bits are then mixed as MurmurHash3 does, because they decide.
pub(crate) fn point_of_key(key: &[u8]) -> u64 {
    let start = 0xCBF2_9CE4_8422_2325_u64;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    let mut hash = key.iter().fold(start, step);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn percent_of(points: impl ExactSizeIterator<Item = u64>, percent: u32) -> f64 {
        let (all, share) = (points.len(), Share::of(percent));
        let inside = points.filter(|point| share.has(*point)).count();
        100.0 * inside as f64 / all as f64
    }

    #[test]
    fn a_hundred_thousand_keys_are_shared_within_half_a_point() {
        let kinds: [fn(u32) -> String; 5] = [
            |n| n.to_string(),
            |n| format!("user-{n}"),
            |n| format!("{n:08x}-0000-7000-8000-000000000000"),
            |n| format!("0190a1b2-0000-7000-8000-{n:012x}"),
            |n| format!("{}@shop.example", n * 7),
        ];
        for kind in kinds {
            for percent in [1, 10, 33, 50, 90, 99] {
                let points = (0..100_000).map(|n| point_of_key(kind(n).as_bytes()));
                let share = percent_of(points, percent);
                let off = (share - f64::from(percent)).abs();
                assert!(off < 0.5, "{} at {percent} %: {share} %", kind(7));
            }
        }
    }

    #[test]
    fn turns_are_shared_within_two_points_from_a_hundred_requests_on_and_in_every_rhythm() {
        for (percent, first, rhythm) in (1..100).flat_map(|percent| {
            let firsts = [0, 1, 77, 12_345, u64::MAX - 50];
            firsts
                .into_iter()
                .flat_map(move |f| (1..=7).map(move |r| (percent, f, r)))
        }) {
            let turn = |n: u32| first.wrapping_add(rhythm * u64::from(n));
            let few = percent_of((0..100).map(|n| point_of_turn(turn(n))), percent);
            let many = percent_of((0..2_000).map(|n| point_of_turn(turn(n))), percent);
            let off = |share: f64| (share - f64::from(percent)).abs();
            let most = if rhythm == 1 { 2.0 } else { 5.0 };
            assert!(off(few) <= most, "{percent} %, each {rhythm}th: {few} %");
            assert!(off(many) < 1.0, "{percent} %, each {rhythm}th: {many} %");
        }
    }

    #[test]
    fn nothing_and_everything_have_no_exceptions() {
        for point in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(!Share::of(0).has(point));
            assert!(Share::of(100).has(point));
        }
    }

    #[test]
    fn points_of_keys_are_the_same_in_every_version() {
        assert_eq!(point_of_key(b""), 0xEFD0_1F60_BA99_2926);
        assert_eq!(point_of_key(b"user-7"), 0x05F4_5893_168B_EB5F);
    }

    proptest! {
        #[test]
        fn a_share_that_grows_gives_no_key_back(key: Vec<u8>, one in 0u32..=100, other in 0u32..=100) {
            let point = point_of_key(&key);
            let (small, large) = (one.min(other), one.max(other));
            prop_assert!(!Share::of(small).has(point) || Share::of(large).has(point));
        }
    }
}
