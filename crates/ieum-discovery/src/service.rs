//! A service as its callers see it: a set of endpoints that changes under way.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ieum_base::{Fault, Retry, Rng};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::balance::{Choice, Policy, Schedule, choose};
use crate::resolver::Config;
use crate::telemetry::Sample;
use crate::{Endpoint, EndpointId, Error, Instance, Picked, Snapshot};

/// The live endpoints of a service, shared by all threads.
pub struct Service {
    name: String,
    config: Config,
    rng: Rng,
    set: ArcSwap<Set>,
    turn: AtomicUsize,
    stale: AtomicBool,
    /// The index of the set; 0 until the registry has answered once.
    index: watch::Sender<u64>,
}

/// The endpoints at one index.
#[derive(Default)]
struct Set {
    /// Those that may be sent requests.
    endpoints: Vec<Arc<Endpoint>>,
    schedule: Schedule,
    /// How many instances are registered, whatever their state.
    registered: usize,
}

/// Why no endpoint can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Absence {
    /// The registry has not answered yet.
    #[error("the registry has not answered yet")]
    Unresolved,
    /// No instance is registered.
    #[error("no instance is registered")]
    NoInstance,
    /// Every registered instance has a critical check.
    #[error("every instance is critical")]
    AllCritical,
    /// The breaker of every endpoint is open.
    #[error("the circuit breaker of every endpoint is open")]
    AllOpen {
        /// The time until one of them may be tried again.
        retry_after: Duration,
    },
}

impl Absence {
    /// What is called is not there.
    pub const fn fault(&self) -> Fault {
        Fault::Upstream
    }

    /// Not before a breaker may let a probe through, or the registry brings news.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::AllOpen { retry_after } => Retry::After(*retry_after),
            _ => Retry::SOON,
        }
    }
}

impl Service {
    pub(crate) fn new(name: &str, config: Config, rng: Rng) -> Self {
        Self {
            name: name.to_owned(),
            config,
            // Several gateways that start together do not all begin with the same endpoint.
            turn: AtomicUsize::new(rng.below(1 << 16)),
            rng,
            set: ArcSwap::default(),
            stale: AtomicBool::new(false),
            index: watch::Sender::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The endpoints that may be sent requests, in the order of their instances' ids.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.set.load().endpoints.clone()
    }

    /// True while the registry cannot be reached and the endpoints are the last known.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Waits until the registry has answered once. Cancel safe.
    pub async fn ready(&self) {
        // The sender is ours, so the channel cannot close.
        let _ = self.index.subscribe().wait_for(|index| *index > 0).await;
    }

    /// The index of the endpoints: it changes with them. 0 until the registry has answered once.
    pub fn index(&self) -> u64 {
        *self.index.borrow()
    }

    /// Waits until the index is another one than `known`, and answers it. Cancel safe.
    pub async fn changed(&self, known: u64) -> u64 {
        let mut index = self.index.subscribe();
        let changed = index.wait_for(|now| *now != known).await;
        // The sender is ours, so the channel cannot close.
        changed.map_or(known, |now| *now)
    }

    /// Waits until an endpoint may be sent requests. Cancel safe.
    pub async fn available(&self) {
        let mut changed = self.index.subscribe();
        while self.set.load().endpoints.is_empty() && changed.changed().await.is_ok() {}
    }

    /// Picks the endpoint for one request; `None` if there is none to send it to
    /// ([`Service::absence`] says why).
    ///
    /// Those in `exclude` are avoided as long as there is another: pass the ones that an earlier
    /// attempt of the same request failed on. An endpoint whose breaker is open is passed over,
    /// with two exceptions: when more than the configured share is open but not all, breakers are
    /// ignored; and a breaker that has been open for long enough gets one probe.
    pub fn pick(&self, policy: Policy, exclude: &[EndpointId]) -> Option<Picked> {
        let set = self.set.load();
        let from = Choice {
            endpoints: &set.endpoints,
            schedule: &set.schedule,
            turn: &self.turn,
            rng: &self.rng,
            now: Instant::now(),
        };
        let panics = OnceCell::new();
        let panics = || *panics.get_or_init(|| set.is_panicking(self.config.max_ejected));
        let works = |endpoint: &Endpoint| endpoint.breaker().is_available() || panics();
        let fresh = |endpoint: &Endpoint| !exclude.contains(&endpoint.id()) && works(endpoint);
        // Another thread may take the only probe between our choice and the permit: choose again.
        for _ in 0..=set.endpoints.len() {
            let chosen = choose(policy, &from, &fresh)
                .or_else(|| choose(policy, &from, &works).filter(|_| !exclude.is_empty()))?;
            let permit = chosen.breaker().try_acquire_at(from.now).ok();
            if permit.is_some() || panics() {
                return Some(Picked::begin(Arc::clone(chosen), permit, from.now));
            }
        }
        None
    }

    /// Picks as [`Service::pick`] does, after waiting at most `wait` for the registry's first answer.
    pub async fn pick_within(
        &self,
        wait: Duration,
        policy: Policy,
        exclude: &[EndpointId],
    ) -> Result<Picked, Absence> {
        if *self.index.borrow() == 0 {
            // A timeout leaves the set empty, which the next line answers.
            let _ = tokio::time::timeout(wait, self.ready()).await;
        }
        self.pick(policy, exclude).ok_or_else(|| self.absence())
    }

    /// Why there is nothing to pick. Ask it after a pick that answered `None`.
    pub fn absence(&self) -> Absence {
        let set = self.set.load();
        if *self.index.borrow() == 0 {
            Absence::Unresolved
        } else if set.registered == 0 {
            Absence::NoInstance
        } else if set.endpoints.is_empty() {
            Absence::AllCritical
        } else {
            let waits = set.endpoints.iter().map(|endpoint| time_left(endpoint));
            let retry_after = waits.min().unwrap_or_default();
            Absence::AllOpen { retry_after }
        }
    }

    /// What there is to measure.
    pub fn sample(&self) -> Sample {
        let set = self.set.load();
        Sample {
            service: self.name.clone(),
            registered: set.registered,
            available: set.endpoints.len(),
            ejected: set.ejected(),
            in_flight: set.endpoints.iter().map(|e| e.load().in_flight()).sum(),
            stale: self.is_stale(),
        }
    }

    /// Takes over what the registry answered.
    pub(crate) fn update(&self, snapshot: &Snapshot) {
        let was_away = self.stale.swap(false, Ordering::Relaxed);
        if was_away {
            tracing::info!(service = %self.name, "the registry answers again");
        }
        // One that was away may have forgotten everything: the same index may be another state.
        if was_away || snapshot.index != *self.index.borrow() {
            let available = snapshot.available().cloned().collect();
            self.publish(snapshot.index, snapshot.instances.len(), available);
        }
    }

    /// Publishes a set. The endpoint of an instance that is available before and after, at the same
    /// address, stays the same; one that comes back from critical starts afresh.
    pub(crate) fn publish(&self, index: u64, registered: usize, available: Vec<Instance>) {
        let before = self.set.load();
        let keep = |instance: Instance| {
            let known = before.endpoints.iter().find(|e| e.is_of(&instance));
            match known {
                Some(endpoint) => {
                    endpoint.update(instance);
                    Some(Arc::clone(endpoint))
                }
                None => self.endpoint(instance),
            }
        };
        let endpoints: Vec<Arc<Endpoint>> = available.into_iter().filter_map(keep).collect();
        let weights: Vec<u16> = endpoints.iter().map(|e| e.instance().weight).collect();
        self.set.store(Arc::new(Set {
            schedule: Schedule::new(&weights),
            endpoints,
            registered,
        }));
        self.index.send_replace(index);
    }

    /// Takes over what was known before this process began, while the registry has not answered yet.
    pub(crate) fn recall(&self, known: Vec<Instance>) {
        if *self.index.borrow() != 0 || known.is_empty() {
            return;
        }
        tracing::warn!(
            service = %self.name, endpoints = known.len(),
            "the registry does not answer; beginning with the endpoints that were last known"
        );
        self.stale.store(true, Ordering::Relaxed);
        self.publish(RECALLED, known.len(), known);
    }

    pub(crate) fn mark_stale(&self, error: &Error) {
        if !self.stale.swap(true, Ordering::Relaxed) {
            let endpoints = self.set.load().endpoints.len();
            tracing::warn!(
                service = %self.name, endpoints, %error,
                "the registry does not answer; keeping the endpoints that were last known"
            );
        }
    }

    fn endpoint(&self, instance: Instance) -> Option<Arc<Endpoint>> {
        let (id, authority) = (instance.id.clone(), instance.authority());
        let endpoint = Endpoint::new(instance, &self.config);
        if endpoint.is_none() {
            tracing::warn!(
                service = %self.name, instance = %id, authority,
                "an instance was registered with an address that cannot be called"
            );
        }
        endpoint.map(Arc::new)
    }
}

impl Set {
    /// How many endpoints their breaker takes out.
    fn ejected(&self) -> usize {
        let out = |endpoint: &&Arc<Endpoint>| !endpoint.breaker().is_available();
        self.endpoints.iter().filter(out).count()
    }

    /// True if so many breakers are open that they are ignored: more than the allowed share, while
    /// at least one endpoint works, which could not carry everything alone. When all are open there
    /// is nobody to protect from the load, and failing fast is what a breaker is for.
    fn is_panicking(&self, max_ejected: f64) -> bool {
        let (ejected, all) = (self.ejected(), self.endpoints.len());
        #[expect(clippy::cast_precision_loss, reason = "counts of endpoints are small")]
        let share = ejected as f64 / all.max(1) as f64;
        ejected < all && share > max_ejected
    }
}

/// The index of endpoints that no registry has answered: none that it would.
const RECALLED: u64 = u64::MAX;

/// The time until the breaker of `endpoint` may let a call through. A permit that is dropped unused
/// leaves the breaker as it was.
fn time_left(endpoint: &Endpoint) -> Duration {
    let refusal = endpoint.breaker().try_acquire().err();
    refusal.map_or(Duration::ZERO, |open| open.retry_after)
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("endpoints", &self.set.load().endpoints)
            .field("stale", &self.is_stale())
            .finish_non_exhaustive()
    }
}
