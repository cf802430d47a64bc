//! What the console's live pages are made of, over the parts that run here.

use std::sync::Arc;

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Tasks};
use ieum_discovery::{Registry, Resolver};
use ieum_remote::wire::overview::About;
use ieum_telemetry::logs::Forwarding;

use super::storage::Storage;
use super::vitals::routes_of;
use crate::api;
use crate::config::Config;
use crate::live::{Board, Glance, Hub, MapLimits, ServiceMap, Sources};
use crate::traces::{Limits, LogLimits, Store, log_line};

/// The traces of a process that keeps some, and the map that counts their spans.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) traces: Store,
    map: ServiceMap,
}

impl Kept {
    /// Keeps as much as is configured; what this process records goes `onward`, too.
    pub(super) fn new(config: &Config, clock: &Clock, onward: Option<Arc<dyn SpanSink>>) -> Self {
        let map = ServiceMap::new(clock.clone(), MapLimits::default());
        let traces = Store::new(limits(config));
        Self {
            traces: traces.handing_on(onward).counted_by(map.clone()),
            map,
        }
    }
}

/// Keeps what this process itself logs within traces, until the answer is dropped.
pub(super) fn keep_own_lines(traces: Store) -> Forwarding {
    ieum_telemetry::logs::of_traces(move |service, record| {
        traces.log(log_line(service.unwrap_or(PROCESS), record));
    })
}

/// What the live pages are made of.
pub(super) struct Shown<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: &'a Clock,
    pub(super) registry: &'a Arc<dyn Registry>,
    pub(super) storage: &'a Storage,
    pub(super) gateway: Option<ieum_gateway::Handle>,
    pub(super) sagas: Option<ieum_saga::Handle>,
    pub(super) kept: Kept,
    pub(super) breakers: Board,
}

/// The live pages; what is computed for them runs in `tasks`.
pub(super) fn pages(shown: Shown<'_>, tasks: &Tasks) -> api::Live {
    let glance = Glance::new(Sources {
        about: About {
            name: shown.config.platform.name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: shown.clock.now(),
        },
        clock: shown.clock.clone(),
        map: shown.kept.map,
        registry: Arc::clone(shown.registry),
        routes: routes_of(shown.gateway),
        sagas: shown.sagas,
        log: Arc::clone(&shown.storage.events),
        topics: Arc::clone(&shown.storage.topics.inspect),
        traces: shown.kept.traces,
        breakers: shown.breakers,
    });
    let hub = Hub::start(glance.clone(), shown.clock.clone(), tasks);
    api::Live { glance, hub }
}

/// The breakers of this process and those that are reported to it.
pub(super) fn breakers(clock: &Clock, resolver: &Resolver) -> Board {
    Board::new(clock.clone(), Some(resolver.clone()))
}

fn limits(config: &Config) -> Limits {
    let traces = &config.telemetry.traces;
    let bytes = |size: ieum_base::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    Limits {
        traces: traces.max_traces,
        bytes: bytes(traces.max_bytes),
        spans: traces.max_spans,
        logs: LogLimits {
            lines: traces.max_log_lines,
            bytes: bytes(traces.max_log_bytes),
            of_trace: traces.max_lines,
        },
    }
}

/// Who writes lines of this process that name nobody.
const PROCESS: &str = "ieum";
