//! The address of an instance, with what is known of its health: load and breaker.
//!
//! Health belongs to the endpoint and is shared by every route, client and thread that uses it. It
//! lives as long as the instance is available at the same address, whatever else changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::uri::Authority;
use ieum_http::Target;
use ieum_resilience::circuit_breaker::{self, Breaker, Permit};
use tokio::time::Instant;

use crate::Instance;
use crate::balance::Load;
use crate::resolver::Config;

/// One endpoint of a service.
pub struct Endpoint {
    id: EndpointId,
    authority: Authority,
    target: Target,
    instance: ArcSwap<Instance>,
    load: Load,
    breaker: Breaker,
}

/// Tells endpoints apart within the process, also when an instance moves and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(u64);

/// How a request to an endpoint ended, as far as the endpoint's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, also with a 4xx.
    Success,
    /// It did not answer, or with a 5xx.
    Failure {
        /// The `Retry-After` of its answer.
        retry_after: Option<Duration>,
    },
    /// Nothing was learnt: the caller gave up, or the request never left.
    Unknown,
}

impl Outcome {
    /// A failure without a `Retry-After`.
    pub const FAILURE: Self = Self::Failure { retry_after: None };
}

impl Endpoint {
    /// The endpoint of an instance; `None` if its address and port are not an authority (RFC 3986).
    pub(crate) fn new(instance: Instance, config: &Config) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let authority = Authority::try_from(instance.authority()).ok()?;
        let target = target_of(&instance)?;
        Some(Self {
            id: EndpointId(NEXT.fetch_add(1, Ordering::Relaxed)),
            authority,
            target,
            instance: ArcSwap::from_pointee(instance),
            load: Load::new(config.balance),
            breaker: Breaker::new(config.breaker),
        })
    }

    /// Its id within this process.
    pub const fn id(&self) -> EndpointId {
        self.id
    }

    /// `host:port`, where it is reached.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What a connection is opened to. An instance whose metadata say `scheme = https` is reached
    /// over TLS.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The instance behind it, as it was last registered.
    pub fn instance(&self) -> Arc<Instance> {
        self.instance.load_full()
    }

    /// What it is carrying.
    pub const fn load(&self) -> &Load {
        &self.load
    }

    /// Its circuit breaker; an open one is what takes an endpoint out of the balancing.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// True if this is the endpoint of `instance`, whatever else changed in its registration.
    pub(crate) fn is_of(&self, instance: &Instance) -> bool {
        self.instance.load().id == instance.id && target_of(instance).as_ref() == Some(&self.target)
    }

    pub(crate) fn update(&self, instance: Instance) {
        self.instance.store(Arc::new(instance));
    }
}

fn target_of(instance: &Instance) -> Option<Target> {
    let authority = instance.authority();
    match instance.meta.get("scheme").map(String::as_str) {
        Some("https") => Target::https(&authority).ok(),
        _ => Target::http(&authority).ok(),
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("instance", &self.instance.load().id)
            .field("authority", &self.authority)
            .field("in_flight", &self.load.in_flight())
            .field("breaker", &self.breaker.state())
            .finish()
    }
}

/// An endpoint that was picked for one request. It counts as in flight until this is dropped; its
/// latency ends with [`Picked::record`]. Dropped without a record, nothing was learnt but how long
/// it took at least.
#[must_use = "the request is in flight until this is dropped"]
pub struct Picked {
    endpoint: Arc<Endpoint>,
    permit: Option<Permit>,
    started: Instant,
    /// When the answer began, if how it went is known only at its end.
    answered: Option<Instant>,
    recorded: bool,
}

impl Picked {
    /// Begins a request. `permit` is `None` if the endpoint's breaker is open and is passed over.
    pub(crate) fn begin(endpoint: Arc<Endpoint>, permit: Option<Permit>, started: Instant) -> Self {
        endpoint.load.begin();
        Self {
            endpoint,
            permit,
            started,
            answered: None,
            recorded: false,
        }
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// `host:port`.
    pub fn authority(&self) -> &Authority {
        self.endpoint.authority()
    }

    /// When it was picked.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The answer has begun, and with that the latency ends; how it went is recorded at its end. For
    /// gRPC, whose answers say so in their last frame.
    pub fn answered(&mut self) {
        self.answered.get_or_insert_with(Instant::now);
    }

    /// Records how the request ended, which is where its latency ends, while its answer may still be
    /// streaming. The first record counts.
    pub fn record(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.recorded, true) {
            return;
        }
        let now = Instant::now();
        let until = self.answered.unwrap_or(now);
        let elapsed = until.saturating_duration_since(self.started);
        let load = &self.endpoint.load;
        let judged = match outcome {
            Outcome::Success => {
                load.observe(now, elapsed);
                circuit_breaker::Outcome::Success
            }
            Outcome::Failure { retry_after } => {
                load.penalise(now, retry_after);
                circuit_breaker::Outcome::Failure
            }
            Outcome::Unknown => {
                load.observe_at_least(now, elapsed);
                circuit_breaker::Outcome::Unknown
            }
        };
        if let Some(permit) = self.permit.take() {
            permit.record_at(now, judged);
        }
    }

    /// Records how the request ended and takes it out of flight.
    pub fn finish(mut self, outcome: Outcome) {
        self.record(outcome);
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.record(Outcome::Unknown);
        self.endpoint.load.end();
    }
}

impl fmt::Debug for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picked").field(&self.endpoint).finish()
    }
}
