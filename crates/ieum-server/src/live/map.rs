//! The map of services: who answers how often, who calls whom, read from spans as they arrive.
//!
//! A span is counted when it comes and is never looked up again: rates do not depend on which traces
//! are kept. Three troubles of real spans are dealt with here.
//! - *Twice*: an exporter repeats a batch, a saga sends its open span again. A span that was seen
//!   lately is not counted again.
//! - *Out of order*: the answer's span arrives before that of the call. It waits for its parent.
//! - *Wrong clocks*: a service's clock may be hours off. How late a span is, is measured against the
//!   least delay that its service had lately, which is that of its clock; spans that are older than
//!   the window by this measure are not counted.
//!
//! Services, edges and remembered spans are bounded; what is idle makes room.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ieum_base::trace::{AttributeValue, SpanData, SpanId, SpanKind, TraceId};
use ieum_base::{Clock, Timestamp};
use tokio::time::Instant;

use super::recent::{Entry, Recent, Seen, Waiting};
use super::window::{Call, Ring, Totals, WINDOW};
use crate::traces::short_name;

/// The map. Clones are the same.
#[derive(Clone)]
pub struct ServiceMap {
    clock: Clock,
    origin: Instant,
    limits: MapLimits,
    inner: Arc<Mutex<Inner>>,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct MapLimits {
    /// The most services.
    pub services: usize,
    /// The most edges.
    pub edges: usize,
    /// The most spans that are remembered to be joined, or told from their repetition; up to twice
    /// as many for a moment.
    pub spans: usize,
}

impl Default for MapLimits {
    /// Some 16 MiB, if all are used.
    fn default() -> Self {
        Self {
            services: 500,
            edges: 1_000,
            spans: 28_000,
        }
    }
}

#[derive(Default)]
struct Inner {
    nodes: HashMap<Arc<str>, Node>,
    /// How many edges all nodes have.
    edges: usize,
    recent: Recent,
    hasher: RandomState,
    /// The last second in which room was made.
    swept: u64,
    /// Calls that were not counted for want of room.
    overflowed: u64,
}

#[derive(Default)]
struct Node {
    /// What it answers.
    answers: Option<Ring>,
    /// Whom it calls.
    calls: HashMap<Arc<str>, Ring>,
    delay: LeastDelay,
}

/// The least delay of a service's spans lately, in microseconds: how far its clock is off.
struct LeastDelay {
    present: i64,
    before: i64,
    since: u64,
}

/// What is on the map at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeable {
    /// What answered, in no order.
    pub(super) services: Vec<(Arc<str>, Totals)>,
    /// Who called whom.
    pub(super) edges: Vec<(Arc<str>, Arc<str>, Totals)>,
}

/// Takes spans that arrive at one moment.
pub(crate) struct Arrival<'a> {
    inner: MutexGuard<'a, Inner>,
    limits: MapLimits,
    now: Timestamp,
    second: u64,
}

impl ServiceMap {
    /// An empty map. `clock` tells when a span arrives.
    pub fn new(clock: Clock, limits: MapLimits) -> Self {
        Self {
            clock,
            origin: Instant::now(),
            limits,
            inner: Arc::default(),
        }
    }

    /// Begins to take spans.
    pub(crate) fn arrival(&self) -> Arrival<'_> {
        let second = self.second();
        Arrival {
            inner: self.lock(),
            limits: self.limits,
            now: self.clock.now(),
            second,
        }
    }

    /// What happened in the window.
    pub(crate) fn see(&self) -> Seeable {
        let now = self.second();
        let inner = self.lock();
        let mut seeable = Seeable::default();
        for (name, node) in &inner.nodes {
            let answers = node.answers.as_ref().map_or(Totals::NONE, |r| r.sum(now));
            let edges = node.calls.iter().map(|(to, ring)| (to, ring.sum(now)));
            let before = seeable.edges.len();
            let edges = edges.filter(|(_, sum)| sum.calls > 0);
            seeable
                .edges
                .extend(edges.map(|(to, sum)| (name.clone(), to.clone(), sum)));
            if answers.calls > 0 || seeable.edges.len() > before {
                seeable.services.push((name.clone(), answers));
            }
        }
        seeable
    }

    /// Calls that were not counted because there are too many services or edges.
    pub fn overflowed(&self) -> u64 {
        self.lock().overflowed
    }

    /// How many spans are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.lock().recent.len()
    }

    /// Seconds since it was made. The first window is whole, so that nothing is before the first.
    fn second(&self) -> u64 {
        self.origin.elapsed().as_secs() + WINDOW
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServiceMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceMap")
            .field("services", &self.lock().nodes.len())
            .finish_non_exhaustive()
    }
}

impl Arrival<'_> {
    /// Takes one span.
    pub(crate) fn span(&mut self, span: &SpanData) {
        let inner = &mut *self.inner;
        inner.recent.turn(self.second, self.limits.spans);
        let call = Call {
            took: u64::try_from(span.end.since(span.start).as_micros()).unwrap_or(u64::MAX),
            failed: has_failed(span),
        };
        let peer = peer(span);
        let key = inner.key(span.trace_id, span.span_id);
        let entry = inner.recent.entry(key);
        if entry.seen.is_some() {
            return;
        }
        entry.seen = Some(Seen {
            service: span.service.clone(),
            kind: span.kind,
            names_peer: peer.is_some(),
            call,
        });
        let waiting = std::mem::take(&mut entry.waiting);
        let is_answer = matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
        let late = self.now.as_micros().saturating_sub(span.end.as_micros());
        let mut to = Counted {
            second: self.second,
            now: self.second,
            limits: self.limits,
        };
        let answered = is_answer.then_some(call);
        let Some(second) = inner.arrived(&span.service, late, answered, to) else {
            return;
        };
        to.second = second;
        if is_answer {
            inner.join(span, call, to);
        }
        if let Some(peer) = peer {
            inner.called(&span.service, peer, call, to);
            return;
        }
        for child in waiting {
            inner.found_parent(span.kind, &span.service, call, &child, to);
        }
    }
}

/// Where a call is counted.
#[derive(Clone, Copy)]
struct Counted {
    second: u64,
    now: u64,
    limits: MapLimits,
}

impl Inner {
    fn key(&self, trace: TraceId, span: SpanId) -> u64 {
        self.hasher.hash_one((trace, span))
    }

    /// Notes that a span of `service` arrived, so late, and what it answered. Says in which second it
    /// counts; `None` if that was before the window, or there is no room.
    fn arrived(
        &mut self,
        service: &Arc<str>,
        late: i64,
        answered: Option<Call>,
        to: Counted,
    ) -> Option<u64> {
        let node = self.node(service, to.now, to.limits)?;
        let second = node.delay.place(late, to.now)?;
        if let Some(call) = answered {
            node.answers.get_or_insert_with(Ring::new).add(second, call);
        }
        Some(second)
    }

    /// Counts a call on the edge between two services.
    fn called(&mut self, from: &Arc<str>, callee: &str, call: Call, to: Counted) {
        let known = self.nodes.get_mut(from);
        if let Some(ring) = known.and_then(|node| node.calls.get_mut(callee)) {
            ring.add(to.second, call);
            return;
        }
        if self.edges >= to.limits.edges {
            self.sweep(to.now);
        }
        if self.edges >= to.limits.edges {
            self.overflowed += 1;
            return;
        }
        if let Some(node) = self.node(from, to.now, to.limits) {
            let mut ring = Ring::new();
            ring.add(to.second, call);
            node.calls.insert(callee.into(), ring);
            self.edges += 1;
        }
    }

    /// Counts the edge that leads to what `span` answered, as soon as both its ends are known.
    fn join(&mut self, span: &SpanData, call: Call, to: Counted) {
        let Some(parent) = span.parent else { return };
        let key = self.key(span.trace_id, parent);
        let waiting = Waiting {
            service: span.service.clone(),
            call,
        };
        let entry: &mut Entry = self.recent.entry(key);
        match entry.seen.clone() {
            None => entry.wait(waiting),
            Some(seen) if seen.names_peer => {}
            Some(seen) => self.found_parent(seen.kind, &seen.service, seen.call, &waiting, to),
        }
    }

    /// A call counts as its caller saw it; a message has no caller that waits.
    fn found_parent(
        &mut self,
        kind: SpanKind,
        from: &Arc<str>,
        call: Call,
        child: &Waiting,
        to: Counted,
    ) {
        match kind {
            SpanKind::Client => self.called(from, &child.service, call, to),
            _ if *from == child.service => {}
            _ => self.called(from, &child.service, child.call, to),
        }
    }

    fn node(&mut self, name: &Arc<str>, now: u64, limits: MapLimits) -> Option<&mut Node> {
        if !self.nodes.contains_key(name) {
            if self.nodes.len() >= limits.services {
                self.sweep(now);
            }
            if self.nodes.len() >= limits.services {
                self.overflowed += 1;
                return None;
            }
        }
        Some(self.nodes.entry(name.clone()).or_default())
    }

    /// Forgets what is idle; at most once a second, because whoever invents names could ask for more.
    fn sweep(&mut self, now: u64) {
        if self.swept == now {
            return;
        }
        self.swept = now;
        let mut edges = 0;
        self.nodes.retain(|_, node| {
            node.calls.retain(|_, ring| !ring.is_idle(now));
            node.answers.take_if(|ring| ring.is_idle(now));
            edges += node.calls.len();
            node.answers.is_some() || !node.calls.is_empty()
        });
        self.edges = edges;
    }
}

/// True if the span failed, and not if the answer was a refusal: what the caller asked for could not be, and
/// the callee is well. Both ends of a call then say the same.
fn has_failed(span: &SpanData) -> bool {
    let is_refusal = |(name, value): &(Cow<'static, str>, AttributeValue)| match value {
        AttributeValue::Int(code) if name == "http.response.status_code" => {
            (400..500).contains(code)
        }
        AttributeValue::Int(code) if name == "rpc.grpc.status_code" => REFUSALS.contains(code),
        _ => false,
    };
    span.error.is_some() && !span.attributes.iter().any(is_refusal)
}

/// What gRPC's servers answer for which OpenTelemetry's conventions see no error of theirs.
const REFUSALS: [i64; 8] = [1, 3, 5, 6, 7, 9, 11, 16];

/// Whom a call goes to, if it says so.
fn peer(span: &SpanData) -> Option<&str> {
    if span.kind != SpanKind::Client {
        return None;
    }
    let mut attributes = span.attributes.iter();
    attributes.find_map(|(name, value)| match value {
        AttributeValue::Text(text) if name == "peer.service" && !text.is_empty() => {
            Some(short_name(text))
        }
        _ => None,
    })
}

impl Default for LeastDelay {
    fn default() -> Self {
        Self {
            present: i64::MAX,
            before: i64::MAX,
            since: 0,
        }
    }
}

impl LeastDelay {
    /// The second of a span that came so late. One from the future came at once: a single one that is
    /// hours ahead would make all others look old.
    fn place(&mut self, late: i64, now: u64) -> Option<u64> {
        let late = late.max(0);
        if now.saturating_sub(self.since) >= MEMORY {
            (self.before, self.present, self.since) = (self.present, i64::MAX, now);
        }
        self.present = self.present.min(late);
        let least = self.present.min(self.before);
        let beyond = u64::try_from(late.saturating_sub(least)).unwrap_or(0) / 1_000_000;
        (beyond < WINDOW).then(|| now.saturating_sub(beyond))
    }
}

/// For how many seconds at least a clock is believed to be as wrong as it was.
const MEMORY: u64 = 300;
