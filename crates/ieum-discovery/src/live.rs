//! A catalog that many watch: what the in-memory and the event-sourced registry share.
//!
//! It owns the catalog behind a lock that is never held over an await, the waiters of each service,
//! and when each check was last heard of (on the monotonic clock, in memory only: a heartbeat that
//! changes nothing writes nothing, and after a restart every TTL starts anew).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ieum_base::{Deadline, Stop};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::catalog::{Catalog, Change, Limits};
use crate::{CheckDefinition, CheckId, CheckKind, Result, Snapshot, Status};

/// A catalog and those who wait for it to change.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    /// One waker per service that somebody waits for.
    wakers: Mutex<HashMap<String, Arc<Notify>>>,
    membership: watch::Sender<u64>,
    /// How often somebody registered, also what was registered already.
    registrations: watch::Sender<u64>,
    /// The index of the last change of anything.
    changes: watch::Sender<u64>,
    /// What answers all who wait.
    stop: OnceLock<Stop>,
}

#[derive(Debug)]
struct State {
    catalog: Catalog,
    heard: HashMap<CheckId, Instant>,
    /// When each TTL check was last reported to this process.
    told: HashMap<CheckId, Instant>,
}

impl Live {
    /// An empty catalog.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                catalog: Catalog::new(limits),
                heard: HashMap::new(),
                told: HashMap::new(),
            }),
            wakers: Mutex::default(),
            membership: watch::Sender::new(1),
            registrations: watch::Sender::new(0),
            changes: watch::Sender::new(1),
            stop: OnceLock::new(),
        }
    }

    /// Looks at the catalog. `look` must be short: it runs under the lock.
    pub fn look<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        look(&self.lock().catalog)
    }

    /// Waits at most `wait` for an index of `service` other than `after`, and answers the instances.
    /// `after` 0, and an index that the service has not reached, are answered at once: it is from
    /// before a restart, and waiting for it could take for ever. Cancel safe.
    pub async fn watch(&self, service: &str, after: u64, wait: Duration) -> Snapshot {
        let deadline = Deadline::after(wait);
        let waiting = Waiting::on(self, service);
        loop {
            // Registered before the look, so that a change in between is not missed.
            let woken = waiting.waker.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if after == 0 || self.look(|catalog| catalog.service_index(service)) != after {
                break;
            }
            let waited = self.unless_stopped(woken);
            match tokio::time::timeout_at(deadline.instant(), waited).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.look(|catalog| catalog.snapshot(service))
    }

    /// The same for the set of all services: the index of the last registration or removal, and
    /// the services with their tags. Cancel safe.
    pub async fn watch_services(
        &self,
        after: u64,
        wait: Duration,
    ) -> (u64, BTreeMap<String, Vec<String>>) {
        let changed = self.membership.subscribe();
        self.wait(changed, Catalog::membership_index, after, wait)
            .await;
        self.look(|catalog| (catalog.membership_index(), catalog.services()))
    }

    /// Waits at most `wait` for `index` of the catalog to be other than `after`, for what concerns
    /// more than one service. Cancel safe.
    pub async fn watch_all(
        &self,
        index: impl Fn(&Catalog) -> u64 + Send,
        after: u64,
        wait: Duration,
    ) {
        self.wait(self.changes.subscribe(), index, after, wait)
            .await;
    }

    async fn wait(
        &self,
        mut changed: watch::Receiver<u64>,
        index: impl Fn(&Catalog) -> u64 + Send,
        after: u64,
        wait: Duration,
    ) {
        if after == 0 {
            return;
        }
        let other = changed.wait_for(|_| self.look(&index) != after);
        // A timeout, a stop and a dropped registry all answer what there is.
        drop(tokio::time::timeout(wait, self.unless_stopped(other)).await);
    }

    /// From `stop` on nobody waits any more: blocking queries must not hold up a shutdown. The first
    /// signal that is given here counts.
    pub(crate) fn answer_all_at(&self, stop: Stop) {
        drop(self.stop.set(stop));
    }

    /// True once nobody waits any more.
    pub fn is_stopping(&self) -> bool {
        self.stop.get().is_some_and(Stop::is_requested)
    }

    /// A receiver that changes with every registration and removal.
    pub fn membership(&self) -> watch::Receiver<u64> {
        self.membership.subscribe()
    }

    /// A receiver that changes with everything that has an index.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A receiver that changes with every registration, also one that changes nothing: whoever
    /// registers again has just started.
    pub(crate) fn registrations(&self) -> watch::Receiver<u64> {
        self.registrations.subscribe()
    }

    /// When `check` was last heard of: its last result or registration, or the start of the process.
    pub fn heard(&self, check: &CheckId) -> Option<Instant> {
        self.lock().heard.get(check).copied()
    }

    /// Folds changes in at their indexes and wakes those who wait for the services that changed.
    pub(crate) fn apply(&self, changes: &[(u64, Change)]) {
        let (membership, last) = {
            let mut state = self.lock();
            let state = &mut *state;
            for (index, change) in changes {
                let left = state.apply(*index, change);
                match change.service() {
                    Some(service) => self.wake(service),
                    None => self.wake_all(),
                }
                left.iter().for_each(|service| self.wake(service));
            }
            (state.catalog.membership_index(), state.catalog.index())
        };
        for (sender, now) in [(&self.membership, membership), (&self.changes, last)] {
            sender.send_if_modified(|index| std::mem::replace(index, now) != now);
        }
    }

    /// Notes that a result came in for `check`, and keeps the output of one that changed nothing.
    pub(crate) fn hear(&self, check: &CheckId, output: &str) {
        let mut state = self.lock();
        if let Some((_, known)) = state.catalog.check(check) {
            let now = Instant::now();
            if matches!(known.definition.kind, CheckKind::Ttl { .. }) {
                state.told.insert(check.clone(), now);
            }
            state.heard.insert(check.clone(), now);
            state.catalog.set_output(check, output);
        }
    }

    /// Notes that `check` was reported at `when`, to somebody else on the same log.
    pub(crate) fn hear_at(&self, check: &CheckId, when: Instant) {
        if let Some(heard) = self.lock().heard.get_mut(check) {
            *heard = when.max(*heard);
        }
    }

    /// Starts the TTL of every check anew.
    pub(crate) fn hear_everything(&self) {
        let now = Instant::now();
        self.lock()
            .heard
            .values_mut()
            .for_each(|heard| *heard = now);
    }

    /// How long ago each TTL check was reported to this process, of those that were.
    pub fn told(&self) -> BTreeMap<CheckId, Duration> {
        let state = self.lock();
        let told = state.told.iter();
        told.map(|(check, when)| (check.clone(), when.elapsed()))
            .collect()
    }

    /// Notes that checks were registered (again): their TTLs start anew.
    pub(crate) fn hear_all(&self, checks: &[CheckDefinition]) {
        let mut state = self.lock();
        let now = Instant::now();
        for check in checks {
            state.heard.insert(check.id.clone(), now);
            if matches!(check.kind, CheckKind::Ttl { .. }) {
                state.told.insert(check.id.clone(), now);
            }
        }
        drop(state);
        self.registrations.send_modify(|count| *count += 1);
    }

    /// What follows if `check` has not been heard of since `since`: nothing, if it has.
    pub(crate) fn expire(
        &self,
        check: &CheckId,
        since: Instant,
        output: &str,
    ) -> Result<Vec<Change>> {
        let state = self.lock();
        match state.heard.get(check) {
            Some(heard) if *heard > since => Ok(Vec::new()),
            _ => state.catalog.report(check, Status::Critical, output),
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.stop.get() {
            Some(stop) => stop.unless_requested(work).await,
            None => Some(work.await),
        }
    }

    fn wake(&self, service: &str) {
        if let Some(waker) = lock(&self.wakers).get(service) {
            waker.notify_waiters();
        }
    }

    fn wake_all(&self) {
        lock(&self.wakers).values().for_each(|w| w.notify_waiters());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Folds a change in and keeps `heard` to the checks that exist. Answers the service that an
    /// instance left by registering under another name.
    fn apply(&mut self, index: u64, change: &Change) -> Option<String> {
        let instance = match change {
            Change::Registered(registration) => &registration.instance.id,
            Change::Deregistered { instance, .. } => instance,
            _ => {
                self.catalog.apply(index, change);
                return None;
            }
        };
        let mut left = None;
        if let Some(known) = self.catalog.instance(instance) {
            for check in &known.checks {
                self.heard.remove(&check.definition.id);
                self.told.remove(&check.definition.id);
            }
            left = Some(known.instance.service.clone())
                .filter(|s| Some(s.as_str()) != change.service());
        }
        self.catalog.apply(index, change);
        let checks = self.catalog.instance(instance).map(|known| &known.checks);
        for check in checks.into_iter().flatten() {
            self.heard
                .insert(check.definition.id.clone(), Instant::now());
        }
        left
    }
}

/// Somebody waits for a service; the last one to go takes the waker along.
struct Waiting<'a> {
    live: &'a Live,
    service: &'a str,
    waker: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn on(live: &'a Live, service: &'a str) -> Self {
        let mut wakers = lock(&live.wakers);
        let waker = match wakers.get(service) {
            Some(waker) => Arc::clone(waker),
            None => Arc::clone(wakers.entry(service.to_owned()).or_default()),
        };
        drop(wakers);
        Self {
            live,
            service,
            waker,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut wakers = lock(&self.live.wakers);
        // One reference is the map's and one is ours.
        if Arc::strong_count(&self.waker) == 2 {
            wakers.remove(self.service);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
