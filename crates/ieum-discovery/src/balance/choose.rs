//! The policies at work, over one list of endpoints and a test of who may be chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ieum_base::Rng;
use tokio::time::Instant;

use super::{Policy, Schedule};
use crate::Endpoint;

/// What a choice is made from.
pub(crate) struct Choice<'a> {
    pub(crate) endpoints: &'a [Arc<Endpoint>],
    pub(crate) schedule: &'a Schedule,
    /// Whose turn it is; it moves on with each choice in turn.
    pub(crate) turn: &'a AtomicUsize,
    pub(crate) rng: &'a Rng,
    pub(crate) now: Instant,
}

/// The endpoint that `policy` chooses among those that `admits` lets through; `None` if that is
/// none.
pub(crate) fn choose<'a>(
    policy: Policy,
    from: &Choice<'a>,
    admits: &dyn Fn(&Endpoint) -> bool,
) -> Option<&'a Arc<Endpoint>> {
    match policy {
        Policy::RoundRobin => from.in_turn(admits),
        Policy::Random => from.drawn(admits),
        Policy::P2c => from.better_of_two(admits),
        Policy::LeastLoaded => from.least_loaded(admits),
    }
}

impl<'a> Choice<'a> {
    fn at(&self, place: usize) -> Option<&'a Arc<Endpoint>> {
        self.endpoints.get(self.schedule.at(place)?)
    }

    /// The next one. Each endpoint that is passed over uses up a turn, so that the one behind it
    /// does not take twice its share.
    fn in_turn(&self, admits: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
        let next = || self.at(self.turn.fetch_add(1, Ordering::Relaxed));
        (0..self.schedule.len())
            .filter_map(|_| next())
            .find(|endpoint| admits(endpoint))
            // Other threads take turns too: ours may all have fallen on the same endpoints.
            .or_else(|| self.endpoints.iter().find(|endpoint| admits(endpoint)))
    }

    fn drawn(&self, admits: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
        let lucky = self.at(self.rng.below(self.schedule.len()))?;
        if admits(lucky) {
            return Some(lucky);
        }
        let admitted = || {
            let all = self.schedule.iter().filter_map(|at| self.endpoints.get(at));
            all.filter(|endpoint| admits(endpoint))
        };
        let place = self.rng.below(admitted().count());
        admitted().nth(place)
    }

    fn better_of_two(&self, admits: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
        let first = self.drawn(admits)?;
        let other = |endpoint: &Endpoint| endpoint.id() != first.id() && admits(endpoint);
        let Some(second) = self.drawn(&other) else {
            return Some(first);
        };
        if second.load().cost(self.now) < first.load().cost(self.now) {
            Some(second)
        } else {
            Some(first)
        }
    }

    fn least_loaded(&self, admits: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
        let count = self.endpoints.len();
        let start = self
            .turn
            .fetch_add(1, Ordering::Relaxed)
            .checked_rem(count)?;
        let (before, from) = self.endpoints.split_at(start);
        from.iter()
            .chain(before)
            .filter(|endpoint| admits(endpoint))
            .min_by(|a, b| burden(a).total_cmp(&burden(b)))
    }
}

/// Requests in flight per unit of weight, counting the one to come.
fn burden(endpoint: &Endpoint) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "far below 2^52 requests in flight"
    )]
    let queue = (endpoint.load().in_flight() + 1) as f64;
    queue / f64::from(endpoint.instance().weight.max(1))
}
