//! The circuit breakers: this process's own, and those that services reported.
//!
//! Its own are read where they are. A report is a gauge for each breaker and a record for each change
//! (`ieum_telemetry::breakers`); what a service has not repeated for a while is forgotten with it.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ieum_base::{Clock, Timestamp};
use ieum_discovery::Resolver;
use ieum_discovery::telemetry::EndpointBreaker;
use ieum_remote::wire::breakers::{BreakerChange, BreakerState, BreakerView, MAX_CHANGES};
use ieum_remote::wire::overview::BreakerCounts;
use ieum_resilience::circuit_breaker::State;
use ieum_telemetry::breakers::{ChangeReport, StateReport};
use tokio::time::Instant;

use crate::traces::short_name;

/// All breakers that are known here. Clones are the same.
#[derive(Clone)]
pub(crate) struct Board {
    clock: Clock,
    /// One moment by both clocks: a change is told with the same time whenever it is asked for.
    anchor: (Instant, Timestamp),
    own: Option<Resolver>,
    reported: Arc<Mutex<Reported>>,
}

#[derive(Default)]
struct Reported {
    breakers: HashMap<Key, Told>,
    /// Changes that were ever reported.
    changes: u64,
}

/// One breaker of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    owner: String,
    /// Tells the processes of one service apart.
    process: String,
    service: String,
    target: String,
    instance: String,
}

/// What was reported of a breaker.
struct Told {
    state: BreakerState,
    /// When it was reported first.
    first: Timestamp,
    calls: u64,
    failures: u64,
    /// The latest first.
    changes: VecDeque<BreakerChange>,
    heard: Instant,
}

impl Board {
    /// A board with the breakers of `own`.
    pub(crate) fn new(clock: Clock, own: Option<Resolver>) -> Self {
        Self {
            anchor: (Instant::now(), clock.now()),
            clock,
            own,
            reported: Arc::default(),
        }
    }

    /// Every breaker, those that changed last first.
    pub(crate) fn list(&self) -> Vec<BreakerView> {
        let mut views = self.own_views();
        let mut reported = self.lock();
        reported.forget_silent();
        views.extend(reported.breakers.iter().map(|(key, told)| told.view(key)));
        drop(reported);
        views.sort_by_cached_key(order);
        views
    }

    /// How many are in which state.
    pub(crate) fn count(&self) -> BreakerCounts {
        let mut counts = BreakerCounts::default();
        let mut count = |state| match state {
            BreakerState::Closed => counts.closed += 1,
            BreakerState::Open => counts.open += 1,
            BreakerState::HalfOpen => counts.half_open += 1,
        };
        let own = self.own.as_ref().map(Resolver::breakers);
        for breaker in own.into_iter().flatten() {
            count(state(breaker.breaker.state()));
        }
        let mut reported = self.lock();
        reported.forget_silent();
        reported.breakers.values().for_each(|t| count(t.state));
        counts
    }

    /// A number that is another one after each change.
    pub(crate) fn changed(&self) -> u64 {
        let own = self.own.as_ref().map(Resolver::breakers);
        let own = own.into_iter().flatten().map(|b| b.breaker.changed());
        own.fold(self.lock().changes, u64::wrapping_add)
    }

    /// Takes the present states of the breakers of `owner` in one of its processes.
    pub(crate) fn take_states(&self, owner: &str, process: &str, states: Vec<StateReport>) {
        let (now, heard) = (self.clock.now(), Instant::now());
        let mut reported = self.lock();
        for report in states {
            let StateReport {
                service,
                target,
                instance,
                ..
            } = &report;
            let key = Key::new(owner, process, [service, target, instance]);
            let Some(told) = reported.told(key, now) else {
                continue;
            };
            told.heard = heard;
            told.state = BreakerState::find(&report.state).unwrap_or_default();
            (told.calls, told.failures) = (report.calls, report.failures);
        }
    }

    /// Takes a change of a breaker of `owner`; one that was taken before is not taken again.
    pub(crate) fn take_change(&self, owner: &str, process: &str, report: &ChangeReport) {
        let find = |name: &str| BreakerState::find(name).unwrap_or_default();
        let change = BreakerChange {
            at: report.at,
            from: find(&report.from),
            to: find(&report.to),
            reason: short_name(&ieum_base::redact::text(&report.reason)).to_owned(),
        };
        let called = [&report.service, &report.target, &report.instance];
        let key = Key::new(owner, process, called);
        let now = self.clock.now();
        let mut reported = self.lock();
        let Some(told) = reported.told(key, now) else {
            return;
        };
        if told.changes.contains(&change) {
            return;
        }
        told.heard = Instant::now();
        let later = |known: &BreakerChange| known.at > change.at;
        let place = told.changes.iter().take_while(|known| later(known)).count();
        if place == 0 {
            told.state = change.to;
        }
        told.changes.insert(place, change);
        told.changes.truncate(MAX_CHANGES);
        reported.changes += 1;
    }

    fn own_views(&self) -> Vec<BreakerView> {
        let (moment, time) = self.anchor;
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let at = |then: Instant| {
            let later = micros(then.saturating_duration_since(moment));
            let earlier = micros(moment.saturating_duration_since(then));
            let since = time.as_micros().saturating_add(later);
            Timestamp::from_micros(since.saturating_sub(earlier))
        };
        let own = self.own.as_ref().map(Resolver::breakers);
        let own = own.into_iter().flatten();
        own.map(|breaker| own_view(breaker, at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reported {
    /// What is told of a breaker; `None` if there are too many.
    fn told(&mut self, key: Key, now: Timestamp) -> Option<&mut Told> {
        if self.breakers.len() >= MOST_REPORTED && !self.breakers.contains_key(&key) {
            self.forget_silent();
            if self.breakers.len() >= MOST_REPORTED {
                return None;
            }
        }
        Some(self.breakers.entry(key).or_insert_with(|| Told {
            state: BreakerState::Closed,
            first: now,
            calls: 0,
            failures: 0,
            changes: VecDeque::new(),
            heard: Instant::now(),
        }))
    }

    fn forget_silent(&mut self) {
        let now = Instant::now();
        let speaks = |told: &Told| now.saturating_duration_since(told.heard) < SILENT;
        self.breakers.retain(|_, told| speaks(told));
    }
}

impl Key {
    /// The key of a breaker of `owner` for what is called: service, target and instance.
    fn new(owner: &str, process: &str, called: [&String; 3]) -> Self {
        let [service, target, instance] = called.map(|name| short_name(name).to_owned());
        Self {
            owner: owner.to_owned(),
            process: process.to_owned(),
            service,
            target,
            instance,
        }
    }
}

impl Told {
    fn view(&self, key: &Key) -> BreakerView {
        BreakerView {
            service: key.service.clone(),
            target: key.target.clone(),
            owner: key.owner.clone(),
            instance: key.instance.clone(),
            state: self.state,
            since: self.changes.front().map_or(self.first, |change| change.at),
            calls: self.calls,
            failures: self.failures,
            failure_rate: rate(self.failures, self.calls),
            changes: self.changes.iter().cloned().collect(),
        }
    }
}

fn own_view(of: EndpointBreaker, at: impl Fn(Instant) -> Timestamp) -> BreakerView {
    let snapshot = of.breaker.snapshot();
    let changes = of.breaker.changes();
    let since = changes.first().map_or(of.breaker.made(), |last| last.at);
    let calls = snapshot.successes + snapshot.failures;
    BreakerView {
        service: of.service,
        target: of.target,
        owner: GATEWAY.to_owned(),
        instance: of.instance.0,
        state: state(snapshot.state),
        since: at(since),
        calls,
        failures: snapshot.failures,
        failure_rate: rate(snapshot.failures, calls),
        changes: changes
            .into_iter()
            .take(MAX_CHANGES)
            .map(|change| BreakerChange {
                at: at(change.at),
                from: state(change.from),
                to: state(change.to),
                reason: change.reason.to_string(),
            })
            .collect(),
    }
}

/// Those that changed last first, then by name.
fn order(view: &BreakerView) -> impl Ord + use<> {
    let changed = view.changes.first().map(|change| change.at);
    let names = [&view.service, &view.owner, &view.target, &view.instance];
    (Reverse(changed), names.map(String::clone))
}

const fn state(state: State) -> BreakerState {
    match state {
        State::Closed => BreakerState::Closed,
        State::Open => BreakerState::Open,
        State::HalfOpen => BreakerState::HalfOpen,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn rate(failures: u64, calls: u64) -> f64 {
    failures as f64 / calls.max(1) as f64
}

/// The owner of this process's breakers, which the gateway and the sagas share.
const GATEWAY: &str = "gateway";
/// The most breakers of other processes.
const MOST_REPORTED: usize = 2_000;
/// What is silent for so long is gone: three times the longest usual interval of metrics.
const SILENT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_name_is_cut_wherever_it_is_kept() {
        let board = Board::new(Clock::system(), None);
        let long = "n".repeat(1 << 20);
        board.take_states(
            "orders",
            "7",
            vec![StateReport {
                service: long.clone(),
                target: long.clone(),
                instance: long.clone(),
                state: "open".to_owned(),
                ..StateReport::default()
            }],
        );
        board.take_change(
            "orders",
            "7",
            &ChangeReport {
                service: long.clone(),
                target: long.clone(),
                instance: long.clone(),
                from: "closed".to_owned(),
                to: "open".to_owned(),
                reason: long,
                ..ChangeReport::default()
            },
        );
        let [breaker] = &board.list()[..] else {
            panic!("one breaker");
        };
        let [change] = &breaker.changes[..] else {
            panic!("one change: {breaker:?}");
        };
        for kept in [
            &breaker.service,
            &breaker.target,
            &breaker.instance,
            &change.reason,
        ] {
            assert!(kept.len() < 300, "{} bytes", kept.len());
        }
    }
}
