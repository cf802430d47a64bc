//! Metrics of GraphQL routes: operations, plans, fetches, supergraphs.
//!
//! Labels are names of routes and subgraphs, which the configuration bounds, and words of ours. The
//! names of operations, fields and types are a client's to choose and never a label.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The families of all GraphQL routes.
#[derive(Clone, Debug)]
pub(super) struct Families {
    operations: Family<Operated, Counter>,
    plans: Family<Planned, Counter>,
    planning: Family<Routed, Histogram, fn() -> Histogram>,
    fetches: Family<Fetched, Counter>,
    fetch_time: Family<Asked, Histogram, fn() -> Histogram>,
    compositions: Family<Composed, Counter>,
    ready: Family<Routed, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operated {
    route: Arc<str>,
    r#type: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Planned {
    route: Arc<str>,
    cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fetched {
    route: Arc<str>,
    subgraph: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    route: Arc<str>,
    subgraph: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Composed {
    route: Arc<str>,
    outcome: &'static str,
}

impl Families {
    pub(super) fn new() -> Self {
        Self {
            operations: Family::default(),
            plans: Family::default(),
            planning: Family::new_with_constructor(seconds),
            fetches: Family::default(),
            fetch_time: Family::new_with_constructor(seconds),
            compositions: Family::default(),
            ready: Family::default(),
        }
    }

    /// Names without `_total`, which the encoding adds to counters.
    pub(super) fn register(&self, gateway: &mut Registry) {
        let registry = gateway.sub_registry_with_prefix("graphql");
        registry.register(
            "operations",
            "GraphQL operations answered, by type and outcome",
            self.operations.clone(),
        );
        registry.register(
            "plans",
            "Plans that were found in the cache, or made",
            self.plans.clone(),
        );
        registry.register(
            "planning_seconds",
            "Seconds that making a plan took",
            self.planning.clone(),
        );
        registry.register(
            "fetches",
            "Requests to subgraphs, by outcome",
            self.fetches.clone(),
        );
        registry.register(
            "fetch_seconds",
            "Seconds from a request to a subgraph to the end of its answer",
            self.fetch_time.clone(),
        );
        registry.register(
            "compositions",
            "Supergraphs composed from the subgraphs' schemas",
            self.compositions.clone(),
        );
        registry.register(
            "ready",
            "1 if the route has a supergraph",
            self.ready.clone(),
        );
    }

    /// The handles of one route over these subgraphs.
    pub(super) fn route(&self, route: &str, subgraphs: &[Arc<str>]) -> GraphqlMetrics {
        let route: Arc<str> = route.into();
        let routed = Routed {
            route: Arc::clone(&route),
        };
        let operation = |r#type, outcome| {
            self.operations.get_or_create_owned(&Operated {
                route: Arc::clone(&route),
                r#type,
                outcome,
            })
        };
        let plan = |cache| {
            let route = Arc::clone(&route);
            self.plans.get_or_create_owned(&Planned { route, cache })
        };
        let composed = |outcome| {
            let route = Arc::clone(&route);
            self.compositions
                .get_or_create_owned(&Composed { route, outcome })
        };
        GraphqlMetrics {
            operations: TYPES.map(|r#type| OUTCOMES.map(|outcome| operation(r#type, outcome))),
            hits: plan("hit"),
            misses: plan("miss"),
            planning: self.planning.get_or_create_owned(&routed),
            fetches: subgraphs.iter().map(|s| self.fetch(&route, s)).collect(),
            composed: composed("composed"),
            not_composed: composed("failed"),
            ready: self.ready.get_or_create_owned(&routed),
        }
    }

    fn fetch(&self, route: &Arc<str>, subgraph: &Arc<str>) -> FetchMetrics {
        let count = |outcome| {
            self.fetches.get_or_create_owned(&Fetched {
                route: Arc::clone(route),
                subgraph: Arc::clone(subgraph),
                outcome,
            })
        };
        let asked = Asked {
            route: Arc::clone(route),
            subgraph: Arc::clone(subgraph),
        };
        FetchMetrics {
            answered: count("answered"),
            failed: count("failed"),
            time: self.fetch_time.get_or_create_owned(&asked),
        }
    }
}

/// The handles of one GraphQL route.
#[derive(Debug)]
pub(crate) struct GraphqlMetrics {
    operations: [[Counter<u64, AtomicU64>; OUTCOMES.len()]; TYPES.len()],
    hits: Counter<u64, AtomicU64>,
    misses: Counter<u64, AtomicU64>,
    planning: Histogram,
    fetches: Box<[FetchMetrics]>,
    composed: Counter<u64, AtomicU64>,
    not_composed: Counter<u64, AtomicU64>,
    ready: Gauge,
}

#[derive(Debug)]
struct FetchMetrics {
    answered: Counter<u64, AtomicU64>,
    failed: Counter<u64, AtomicU64>,
    time: Histogram,
}

/// What kind of operation a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationType {
    Query,
    Mutation,
    /// It was refused before that was known.
    Unknown,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationOutcome {
    /// Data and no errors.
    Complete,
    /// Errors beside data, or instead of it.
    Errors,
    /// Nothing was executed: it is malformed, invalid, or beyond a limit.
    Refused,
}

impl OperationType {
    pub(crate) const fn as_str(self) -> &'static str {
        TYPES[self as usize]
    }
}

impl GraphqlMetrics {
    /// Counts one answered operation.
    pub(crate) fn operated(&self, kind: OperationType, outcome: OperationOutcome) {
        self.operations[kind as usize][outcome as usize].inc();
    }

    /// A plan was found in the cache.
    pub(crate) fn hit(&self) {
        self.hits.inc();
    }

    /// A plan was made, or refused, in this time.
    pub(crate) fn planned(&self, took: Duration) {
        self.misses.inc();
        self.planning.observe(took.as_secs_f64());
    }

    /// The subgraph at this place was asked.
    pub(crate) fn fetched(&self, subgraph: usize, is_answered: bool, took: Duration) {
        let Some(metrics) = self.fetches.get(subgraph) else {
            return;
        };
        let count = match is_answered {
            true => &metrics.answered,
            false => &metrics.failed,
        };
        count.inc();
        metrics.time.observe(took.as_secs_f64());
    }

    /// Another supergraph was composed, or could not be.
    pub(crate) fn composed(&self, is_composed: bool) {
        let count = match is_composed {
            true => &self.composed,
            false => &self.not_composed,
        };
        count.inc();
    }

    /// Whether there is a supergraph.
    pub(crate) fn ready(&self, is_ready: bool) {
        self.ready.set(is_ready.into());
    }
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0,
    ])
}

/// In the order of [`OperationType`].
const TYPES: [&str; 3] = ["query", "mutation", "unknown"];
/// In the order of [`OperationOutcome`].
const OUTCOMES: [&str; 3] = ["complete", "errors", "refused"];
