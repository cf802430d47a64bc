//! What a service's consumers, its relay and its clients count, among its metrics.
//!
//! They count by themselves, without knowing who looks; here their figures are read when metrics are
//! shown. Labels are topics and services: the code names them, no caller does.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use ieum_discovery::Resolver;
use ieum_messaging::telemetry::{
    MESSAGES_DEAD_LETTERED, MESSAGES_HANDLED, MESSAGES_RETRIED, OUTBOX_RETRIES, OUTBOX_SENT,
    OUTBOX_UNSENDABLE,
};
use ieum_messaging::{consumer, relay};
use ieum_telemetry::breakers as told;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::Metrics;
use crate::breakers::state_of;

/// The figures of consumers, by topic. Clones are the same.
#[derive(Clone, Debug)]
pub struct Consumers {
    metrics: Metrics,
    handled: Family<Topic, Count>,
    retried: Family<Topic, Count>,
    dead_lettered: Family<Topic, Count>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Topic {
    topic: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    service: String,
}

type Count = Counter<u64, AtomicU64>;

impl Consumers {
    /// The families, for all consumers of a service.
    pub fn register(metrics: &Metrics) -> Self {
        let family = |name, help| metrics.register(bare(name), help, Family::default());
        Self {
            handled: family(MESSAGES_HANDLED, "Messages whose handling succeeded"),
            retried: family(MESSAGES_RETRIED, "Attempts that failed and were repeated"),
            dead_lettered: family(
                MESSAGES_DEAD_LETTERED,
                "Messages that were given up, or wait behind one",
            ),
            metrics: metrics.clone(),
        }
    }

    /// Shows what a consumer of `topic` counts.
    pub fn watch(&self, topic: &'static str, consumer: consumer::Handle) {
        let topic = Topic { topic };
        let handled = self.handled.get_or_create_owned(&topic);
        let retried = self.retried.get_or_create_owned(&topic);
        let dead_lettered = self.dead_lettered.get_or_create_owned(&topic);
        self.metrics.refresh(move || {
            set(&handled, consumer.handled());
            set(&retried, consumer.retried());
            set(&dead_lettered, consumer.dead_lettered());
            std::future::ready(())
        });
    }
}

/// Shows what an outbox's relay counts, and how many rows `unsent` says are waiting.
pub fn watch_relay<F>(
    metrics: &Metrics,
    relay: relay::Handle,
    unsent: impl Fn() -> F + Send + Sync + 'static,
) where
    F: Future<Output = usize> + Send + 'static,
{
    let counter = |name, help| metrics.register(bare(name), help, Count::default());
    let sent = counter(OUTBOX_SENT, "Rows of the outbox that were published");
    let unsendable = counter(OUTBOX_UNSENDABLE, "Rows that can never be sent");
    let retries = counter(OUTBOX_RETRIES, "Rounds of the relay that were repeated");
    let help = "Rows of the outbox that wait to be published";
    let waiting: Gauge = metrics.register("ieum_outbox_unsent", help, Gauge::default());
    metrics.refresh(move || {
        set(&sent, relay.sent());
        set(&unsendable, relay.unsendable());
        set(&retries, relay.retries());
        let (waiting, unsent) = (waiting.clone(), unsent());
        async move {
            waiting.set(whole(unsent.await));
        }
    });
}

/// Shows how a service sees those that it calls: endpoints, open breakers, requests in flight.
pub fn watch_endpoints(metrics: &Metrics, resolver: Resolver) {
    let family = |name, help| metrics.register(name, help, Family::<Called, Gauge>::default());
    let available = family(
        "ieum_discovery_endpoints",
        "Endpoints that may be sent requests",
    );
    let ejected = family(
        "ieum_discovery_endpoints_ejected",
        "Endpoints with an open circuit breaker",
    );
    let in_flight = family(
        "ieum_discovery_requests_in_flight",
        "Requests on their way to an endpoint",
    );
    let breakers = Breakers::register(metrics);
    metrics.refresh(move || {
        breakers.show(&resolver);
        for sample in resolver.samples() {
            let called = Called {
                service: sample.service,
            };
            for (family, value) in [
                (&available, sample.available),
                (&ejected, sample.ejected),
                (&in_flight, sample.in_flight),
            ] {
                family.get_or_create(&called).set(whole(value));
            }
        }
        std::future::ready(())
    });
}

/// The circuit breakers of endpoints.
struct Breakers {
    state: Family<Endpoint, Gauge>,
    calls: Family<Endpoint, Gauge>,
    failures: Family<Endpoint, Gauge>,
}

/// Of one endpoint: those come and go with the registry, so what is gone is not shown on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    service: String,
    target: String,
    instance: String,
}

impl Breakers {
    fn register(metrics: &Metrics) -> Self {
        let family = |name, help| metrics.register(name, help, Family::default());
        Self {
            state: family(told::STATE, "0 closed, 1 open, 2 half-open"),
            calls: family(told::CALLS, "Calls in the breaker's window"),
            failures: family(told::FAILURES, "Of these, those that failed"),
        }
    }

    fn show(&self, resolver: &Resolver) {
        for family in [&self.state, &self.calls, &self.failures] {
            family.clear();
        }
        for breaker in resolver.breakers().iter().take(MOST_BREAKERS) {
            let report = state_of(breaker);
            let endpoint = Endpoint {
                service: report.service,
                target: report.target,
                instance: report.instance,
            };
            let set = |family: &Family<Endpoint, Gauge>, value| {
                family.get_or_create(&endpoint).set(value);
            };
            set(&self.state, told::number(&report.state));
            set(&self.calls, signed(report.calls));
            set(&self.failures, signed(report.failures));
        }
    }
}

/// A counter that is counted elsewhere.
fn set(counter: &Count, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}

fn whole(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The encoder adds the suffix of counters.
fn bare(name: &'static str) -> &'static str {
    name.strip_suffix("_total").unwrap_or(name)
}

/// The most breakers that are among the metrics.
const MOST_BREAKERS: usize = 1_000;
