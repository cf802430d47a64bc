//! The gateway's metrics, with handles that a route looks up once.
//!
//! Labels are methods, route templates, statuses, upstream names and codes: all of them are bounded
//! by the configuration, none is a caller's to choose. Looking a label set up costs more than
//! counting, so each route keeps its handles, resolved at their first use.

mod cache;
mod graphql;
mod split;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use ieum_grpc::Code as GrpcCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::errors::Code;
use crate::table::{Side, SideCounts};

pub(crate) use cache::CacheOutcome;
pub(crate) use graphql::{GraphqlMetrics, OperationOutcome, OperationType};

/// All metrics of one gateway.
pub(crate) struct Telemetry {
    registry: Registry,
    requests: Family<Answered, Counter>,
    errors: Family<Answered, Counter>,
    response_time: Family<Asked, Histogram, fn() -> Histogram>,
    grpc: Family<AnsweredByGrpc, Counter>,
    refusals: Family<Refused, Counter>,
    retries: Family<Called, Counter>,
    retries_over_budget: Family<Called, Counter>,
    upstream_failures: Family<Failed, Counter>,
    fallbacks: Family<FellBack, Counter>,
    cache: Family<cache::Cached, Counter>,
    split: Family<split::Sided, Counter>,
    reloads: Family<Reloaded, Counter>,
    graphql: graphql::Families,
    pub(crate) in_flight: Gauge,
    pub(crate) tunnels: Gauge,
    pub(crate) log_lines_lost: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    path: Arc<str>,
    status_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    path: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnsweredByGrpc {
    path: Arc<str>,
    grpc_status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    upstream: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    upstream: Arc<str>,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FellBack {
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reloaded {
    accepted: &'static str,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let mut telemetry = Self {
            registry: Registry::default(),
            requests: Family::default(),
            errors: Family::default(),
            response_time: Family::new_with_constructor(milliseconds),
            grpc: Family::default(),
            refusals: Family::default(),
            retries: Family::default(),
            retries_over_budget: Family::default(),
            upstream_failures: Family::default(),
            fallbacks: Family::default(),
            cache: Family::default(),
            split: Family::default(),
            reloads: Family::default(),
            graphql: graphql::Families::new(),
            in_flight: Gauge::default(),
            tunnels: Gauge::default(),
            log_lines_lost: Counter::default(),
        };
        telemetry.register();
        telemetry
    }

    /// Names without `_total`, which the encoding adds to counters.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("api_requests", "Requests answered", self.requests.clone());
        registry.register(
            "api_errors",
            "Requests answered with 4xx or 5xx",
            self.errors.clone(),
        );
        registry.register(
            "api_response_time",
            "Milliseconds from a request's head to the end of its answer",
            self.response_time.clone(),
        );
        let registry = registry.sub_registry_with_prefix("ieum_gateway");
        registry.register(
            "refusals",
            "Requests the gateway answered itself",
            self.refusals.clone(),
        );
        registry.register(
            "grpc_answers",
            "Calls of gRPC answered, by their status",
            self.grpc.clone(),
        );
        registry.register("retries", "Requests sent again", self.retries.clone());
        registry.register(
            "retries_over_budget",
            "Requests not sent again for want of budget",
            self.retries_over_budget.clone(),
        );
        registry.register(
            "upstream_failures",
            "Tries that failed",
            self.upstream_failures.clone(),
        );
        registry.register(
            "fallbacks",
            "Answers given by a fallback",
            self.fallbacks.clone(),
        );
        registry.register(
            "cache",
            "Requests and answers of routes that keep answers, by what became of them",
            self.cache.clone(),
        );
        registry.register(
            "split",
            "Requests of routes that share them, by the side that they went to",
            self.split.clone(),
        );
        registry.register("reloads", "Configurations loaded", self.reloads.clone());
        registry.register(
            "in_flight",
            "Requests being answered",
            self.in_flight.clone(),
        );
        registry.register("tunnels", "Upgraded connections", self.tunnels.clone());
        registry.register(
            "access_log_lines_lost",
            "Lines dropped because the log could not be written fast enough",
            self.log_lines_lost.clone(),
        );
        self.graphql.register(registry);
    }

    /// The handles for one route.
    pub(crate) fn route(self: &Arc<Self>, path: &str) -> RouteMetrics {
        RouteMetrics {
            telemetry: Arc::clone(self),
            path: path.into(),
            methods: Default::default(),
            grpc: OnceLock::new(),
        }
    }

    /// The handles for one GraphQL route over these subgraphs.
    pub(crate) fn graphql(&self, route: &str, subgraphs: &[Arc<str>]) -> GraphqlMetrics {
        self.graphql.route(route, subgraphs)
    }

    /// The handles for one route that shares its requests.
    pub(crate) fn split(&self, path: &str) -> SideCounts {
        let path: Arc<str> = path.into();
        SideCounts(Side::ALL.map(|side| {
            let (path, side) = (Arc::clone(&path), side.name());
            self.split.get_or_create_owned(&split::Sided { path, side })
        }))
    }

    pub(crate) fn refused(&self, code: Code) {
        let code = code.row().code;
        self.refusals.get_or_create(&Refused { code }).inc();
    }

    pub(crate) fn retried(&self, upstream: &Arc<str>) {
        self.retries.get_or_create(&called(upstream)).inc();
    }

    pub(crate) fn over_budget(&self, upstream: &Arc<str>) {
        self.retries_over_budget
            .get_or_create(&called(upstream))
            .inc();
    }

    pub(crate) fn upstream_failed(&self, upstream: &Arc<str>, code: Code) {
        let labels = Failed {
            upstream: Arc::clone(upstream),
            code: code.row().code,
        };
        self.upstream_failures.get_or_create(&labels).inc();
    }

    pub(crate) fn fell_back(&self, route: &str) {
        let route = route.into();
        self.fallbacks.get_or_create(&FellBack { route }).inc();
    }

    pub(crate) fn reloaded(&self, accepted: bool) {
        let accepted = if accepted { "true" } else { "false" };
        self.reloads.get_or_create(&Reloaded { accepted }).inc();
    }

    /// The metrics in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut buffer = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut buffer, &self.registry);
        buffer
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

fn called(upstream: &Arc<str>) -> Called {
    Called {
        upstream: Arc::clone(upstream),
    }
}

fn milliseconds() -> Histogram {
    Histogram::new([
        1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 15_000.0,
    ])
}

/// The handles of one route.
pub(crate) struct RouteMetrics {
    telemetry: Arc<Telemetry>,
    path: Arc<str>,
    methods: [OnceLock<Box<MethodMetrics>>; METHODS.len()],
    /// By the number of the code; only routes that are called by gRPC have it.
    grpc: OnceLock<Box<GrpcMetrics>>,
}

type GrpcMetrics = [OnceLock<Counter<u64, AtomicU64>>; GrpcCode::ALL.len()];

struct MethodMetrics {
    response_time: Histogram,
    statuses: [OnceLock<StatusMetrics>; STATUSES],
}

struct StatusMetrics {
    requests: Counter<u64, AtomicU64>,
    errors: Option<Counter<u64, AtomicU64>>,
}

impl RouteMetrics {
    /// Counts one answered request.
    pub(crate) fn answered(&self, method: MethodLabel, status: StatusCode, took: Duration) {
        let name = METHODS[method.0];
        let metrics = self.methods[method.0].get_or_init(|| Box::new(self.method(name)));
        metrics.response_time.observe(took.as_secs_f64() * 1e3);
        let status = status.as_u16();
        let slot = usize::from(status.saturating_sub(100)).min(STATUSES - 1);
        let metrics = metrics.statuses[slot].get_or_init(|| self.status(name, status));
        metrics.requests.inc();
        if let Some(errors) = &metrics.errors {
            errors.inc();
        }
    }

    /// What counts this outcome in the cache.
    pub(crate) fn cache(&self, outcome: CacheOutcome) -> Counter {
        let labels = cache::Cached::new(&self.path, outcome);
        self.telemetry.cache.get_or_create_owned(&labels)
    }

    /// Counts how a call of gRPC ended.
    pub(crate) fn answered_by_grpc(&self, code: GrpcCode) {
        let metrics = self.grpc.get_or_init(Default::default);
        let make = || {
            let labels = AnsweredByGrpc {
                path: Arc::clone(&self.path),
                grpc_status: code.name(),
            };
            self.telemetry.grpc.get_or_create_owned(&labels)
        };
        if let Some(counter) = metrics.get(usize::from(code.number())) {
            counter.get_or_init(make).inc();
        }
    }

    fn method(&self, method: &'static str) -> MethodMetrics {
        let labels = Asked {
            method,
            path: Arc::clone(&self.path),
        };
        MethodMetrics {
            response_time: self.telemetry.response_time.get_or_create_owned(&labels),
            statuses: [const { OnceLock::new() }; STATUSES],
        }
    }

    fn status(&self, method: &'static str, status_code: u16) -> StatusMetrics {
        let labels = Answered {
            method,
            path: Arc::clone(&self.path),
            status_code,
        };
        let errors = || self.telemetry.errors.get_or_create_owned(&labels);
        StatusMetrics {
            requests: self.telemetry.requests.get_or_create_owned(&labels),
            errors: (status_code >= 400).then(errors),
        }
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RouteMetrics").field(&self.path).finish()
    }
}

/// A method as a label: one of a fixed set, because a client may send any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodLabel(usize);

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        let known = METHODS.iter().position(|name| *name == method.as_str());
        Self(known.unwrap_or(METHODS.len() - 1))
    }
}

impl MethodLabel {
    pub(crate) const fn as_str(self) -> &'static str {
        METHODS[self.0]
    }
}

const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "OTHER",
];
/// 100 to 599.
const STATUSES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_template_and_status() {
        let telemetry = Arc::new(Telemetry::new());
        let route = telemetry.route("/users/{id}");
        let invented = Method::from_bytes(b"BREW").expect("a token");
        for (method, status) in [(Method::GET, 200), (Method::GET, 404), (invented, 200)] {
            let status = StatusCode::from_u16(status).expect("valid");
            route.answered((&method).into(), status, Duration::from_micros(1_500));
        }
        telemetry.refused(Code::NoRoute);
        let text = telemetry.text();
        for line in [
            r#"api_requests_total{method="GET",path="/users/{id}",status_code="200"} 1"#,
            r#"api_errors_total{method="GET",path="/users/{id}",status_code="404"} 1"#,
            r#"api_response_time_bucket{le="2.0",method="GET",path="/users/{id}"} 2"#,
            r#"api_requests_total{method="OTHER",path="/users/{id}",status_code="200"} 1"#,
            r#"ieum_gateway_refusals_total{code="IEUM-1010"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
