//! The store: the latest traces, by number and by bytes, found by id or by what they are about.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ieum_base::trace::{AttributeValue, SpanData, SpanSink, TraceId};
use ieum_remote::wire::traces::{ListTraces, LogLine, Trace, TraceSummary};

use super::logs::{LogLimits, Logs};
use crate::live::ServiceMap;

use super::Tree;

/// How much is kept. The oldest trace goes first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most traces.
    pub traces: usize,
    /// About the most bytes.
    pub bytes: usize,
    /// The most spans of one trace; what comes later is counted and dropped.
    pub spans: usize,
    /// How much is kept of what was logged in them.
    pub logs: LogLimits,
}

/// Keeps traces. Clones are the same store.
///
/// Recording takes a lock for the time of an insertion. A span that was sent twice is kept once, as
/// it was sent with its latest end: that of an open saga is sent again when it has gone on.
#[derive(Clone)]
pub struct Store {
    limits: Limits,
    inner: Arc<Mutex<Inner>>,
    /// Where what this process records goes beside.
    onward: Option<Arc<dyn SpanSink>>,
    /// What counts each span that comes.
    map: Option<ServiceMap>,
}

#[derive(Default)]
struct Inner {
    traces: HashMap<TraceId, Kept>,
    /// Trace ids by arrival, the oldest first.
    order: VecDeque<TraceId>,
    /// What traces are about: the values of [`INDEXED`] attributes.
    index: HashMap<Arc<str>, Vec<TraceId>>,
    bytes: usize,
    dropped: u64,
    /// Spans that ever came.
    taken: u64,
    logs: Logs,
}

#[derive(Default)]
struct Kept {
    spans: Vec<SpanData>,
    keys: Vec<Arc<str>>,
    bytes: usize,
    /// Who took part.
    services: Vec<Arc<str>>,
    /// True if one of them failed.
    failed: bool,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many traces.
    pub traces: usize,
    /// About how many bytes.
    pub bytes: usize,
    /// How many spans were dropped because their trace was full.
    pub dropped: u64,
    /// How many lines of the log were, likewise.
    pub lines_dropped: u64,
}

/// The attributes by whose value a trace is found.
const INDEXED: [&str; 2] = ["order.id", "ieum.saga.id"];

/// The most traces that one value leads to; an order that is polled for ever must not grow.
const MAX_TRACES_PER_KEY: usize = 32;

/// How many spans or lines are taken under one lock, for which the gateway's threads wait.
const AT_ONCE: usize = 256;

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inner: Arc::default(),
            onward: None,
            map: None,
        }
    }

    /// The same store, which hands on what this process records. What others sent here they send
    /// onward themselves.
    #[must_use]
    pub fn handing_on(mut self, to: Option<Arc<dyn SpanSink>>) -> Self {
        self.onward = to;
        self
    }

    /// The same store, whose spans `map` counts as they come, also those that are not kept.
    #[must_use]
    pub fn counted_by(mut self, map: ServiceMap) -> Self {
        self.map = Some(map);
        self
    }

    /// Keeps `spans`. Whoever records one meanwhile does not wait for all of them.
    pub fn add(&self, spans: impl IntoIterator<Item = SpanData>) {
        let mut spans = spans.into_iter().peekable();
        while spans.peek().is_some() {
            let mut inner = self.lock();
            let mut arrival = self.map.as_ref().map(ServiceMap::arrival);
            for span in spans.by_ref().take(AT_ONCE) {
                if let Some(arrival) = &mut arrival {
                    arrival.span(&span);
                }
                inner.taken += 1;
                inner.add(span, self.limits);
            }
        }
    }

    /// Keeps what was logged in traces; how many lines there were.
    pub fn log(&self, lines: impl IntoIterator<Item = (TraceId, LogLine)>) -> usize {
        let (mut lines, mut count) = (lines.into_iter(), 0);
        loop {
            // They are made before the lock is taken.
            let some: Vec<_> = lines.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return count;
            }
            count += some.len();
            let mut inner = self.lock();
            for (trace, line) in some {
                inner.logs.add(trace, line, self.limits.logs);
            }
        }
    }

    /// The trace with this id, or the largest of those that are about this order or saga: the one
    /// in which the work was done, and not one that only looked at it.
    pub fn find(&self, id: &str) -> Option<Trace> {
        let inner = self.lock();
        let by_id = id.to_ascii_lowercase().parse::<TraceId>().ok();
        let by_id = by_id.filter(|id| inner.traces.contains_key(id));
        let trace_id = by_id.or_else(|| {
            let about = inner.index.get(id)?.iter();
            let size = |id: &&TraceId| inner.traces.get(*id).map_or(0, |kept| kept.spans.len());
            // The first of equals: `max_by_key` would answer the last.
            about.rev().max_by_key(size).copied()
        })?;
        let mut spans = inner.traces.get(&trace_id)?.spans.clone();
        let logs = inner.logs.of(trace_id);
        drop(inner);
        spans.sort_by_key(|span| (span.start, span.end));
        let mut trace = Trace {
            trace_id,
            spans,
            logs,
            orphans: 0,
        };
        trace.orphans = Tree::new(&trace).orphans();
        Some(trace)
    }

    /// The latest `limit` traces that `list` asks for, the latest first.
    pub fn latest(&self, list: &ListTraces, limit: usize) -> Vec<TraceSummary> {
        let inner = self.lock();
        let about = list.about.as_ref();
        let about = about.map(|about| inner.index.get(about.as_str()).map_or(&[][..], |ids| ids));
        let service = list.service.as_deref();
        let wanted = |id: &TraceId, kept: &Kept| {
            about.is_none_or(|about| about.contains(id))
                && service.is_none_or(|name| kept.services.iter().any(|known| **known == *name))
                && list.failed.is_none_or(|failed| kept.failed == failed)
        };
        let ids = inner.order.iter().rev();
        let traces = ids.filter_map(|id| Some((id, inner.traces.get(id)?)));
        traces
            .filter(|(id, kept)| wanted(id, kept))
            .take(limit)
            .filter_map(|(id, kept)| summary(*id, kept))
            .collect()
    }

    /// How many spans ever came.
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// How much is held.
    pub fn held(&self) -> Held {
        let inner = self.lock();
        Held {
            traces: inner.traces.len(),
            bytes: inner.bytes,
            dropped: inner.dropped,
            lines_dropped: inner.logs.dropped(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanSink for Store {
    fn record(&self, span: SpanData) {
        if let Some(onward) = &self.onward {
            onward.record(span.clone());
        }
        self.add([span]);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.held()).finish()
    }
}

impl Inner {
    fn add(&mut self, span: SpanData, limits: Limits) {
        let trace_id = span.trace_id;
        if !self.traces.contains_key(&trace_id) {
            self.order.push_back(trace_id);
        }
        let kept = self.traces.entry(trace_id).or_default();
        kept.failed |= span.error.is_some();
        let same = |known: &&mut SpanData| known.span_id == span.span_id;
        if let Some(known) = kept.spans.iter_mut().find(same) {
            if known.end <= span.end {
                let (before, after) = (weight(known), weight(&span));
                kept.bytes = kept.bytes - before + after;
                self.bytes = self.bytes - before + after;
                *known = span;
            }
            return;
        }
        if kept.spans.len() >= limits.spans {
            self.dropped += 1;
            return;
        }
        for key in keys(&span) {
            if !kept.keys.iter().any(|known| **known == *key) {
                let key: Arc<str> = key.into();
                let traces = self.index.entry(Arc::clone(&key)).or_default();
                if traces.len() < MAX_TRACES_PER_KEY {
                    traces.push(trace_id);
                    kept.keys.push(key);
                }
            }
        }
        let mut bytes = weight(&span);
        if !kept.services.contains(&span.service) {
            kept.services.push(Arc::clone(&span.service));
            bytes += size_of::<Arc<str>>() + span.service.len();
        }
        kept.bytes += bytes;
        kept.spans.push(span);
        self.bytes += bytes;
        while self.traces.len() > limits.traces || self.bytes > limits.bytes {
            if !self.forget_oldest() {
                break;
            }
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(id) = self.order.pop_front() else {
            return false;
        };
        if let Some(kept) = self.traces.remove(&id) {
            self.bytes -= kept.bytes;
            for key in kept.keys {
                if let Some(traces) = self.index.get_mut(&key) {
                    traces.retain(|known| *known != id);
                    if traces.is_empty() {
                        self.index.remove(&key);
                    }
                }
            }
        }
        true
    }
}

/// What the span's trace is about.
fn keys(span: &SpanData) -> impl Iterator<Item = &str> {
    let indexed = |name: &str| INDEXED.contains(&name);
    span.attributes
        .iter()
        .filter_map(move |(name, value)| match value {
            AttributeValue::Text(text) if indexed(name) && !text.is_empty() => Some(text.as_ref()),
            _ => None,
        })
}

/// About how many bytes a span takes.
fn weight(span: &SpanData) -> usize {
    let attribute = |(name, value): &(_, AttributeValue)| {
        let name: &std::borrow::Cow<'_, str> = name;
        let text = match value {
            AttributeValue::Text(text) => text.len(),
            _ => 0,
        };
        64 + name.len() + text
    };
    let attributes: usize = span.attributes.iter().map(attribute).sum();
    let error = span.error.as_ref().map_or(0, String::len);
    size_of::<SpanData>() + span.name.len() + error + attributes
}

fn summary(trace_id: TraceId, kept: &Kept) -> Option<TraceSummary> {
    let spans = &kept.spans;
    let start = spans.iter().map(|span| span.start).min()?;
    let end = spans.iter().map(|span| span.end).max()?;
    let first = spans
        .iter()
        .min_by_key(|span| (span.parent.is_some(), span.start))?;
    Some(TraceSummary {
        trace_id,
        name: first.name.to_string(),
        service: first.service.to_string(),
        start,
        duration_ms: u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX),
        spans: spans.len(),
        failed: kept.failed,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use ieum_base::Timestamp;
    use ieum_base::trace::SpanKind;

    use super::*;

    /// A span of trace `trace` with the given ids and times in milliseconds.
    pub(in crate::traces) fn span(
        trace: u32,
        id: u32,
        parent: Option<u32>,
        name: &'static str,
        (start, end): (i64, i64),
    ) -> SpanData {
        SpanData {
            trace_id: format!("{trace:032x}").parse().expect("not zero"),
            span_id: format!("{id:016x}").parse().expect("not zero"),
            parent: parent.map(|id| format!("{id:016x}").parse().expect("not zero")),
            service: "orders".into(),
            name: name.into(),
            kind: SpanKind::Server,
            start: Timestamp::from_micros(start * 1_000),
            end: Timestamp::from_micros(end * 1_000),
            attributes: Vec::new(),
            error: None,
        }
    }

    fn about(mut span: SpanData, order: &str) -> SpanData {
        span.attributes
            .push(("order.id".into(), order.to_owned().into()));
        span
    }

    fn latest(store: &Store, limit: usize) -> Vec<TraceSummary> {
        store.latest(&ListTraces::default(), limit)
    }

    const LIMITS: Limits = Limits {
        traces: 3,
        bytes: 1 << 20,
        spans: 4,
        logs: LogLimits {
            lines: 10,
            bytes: 1 << 20,
            of_trace: 5,
        },
    };

    #[test]
    fn a_trace_is_found_by_its_id_and_by_the_order_it_is_about() {
        let store = Store::new(LIMITS);
        store.add([
            about(span(1, 1, None, "GET /orders/{id}", (5, 6)), "o-1"),
            about(span(2, 1, None, "POST /orders", (0, 9)), "o-1"),
            span(2, 2, Some(1), "charge", (1, 2)),
        ]);
        let by_order = store.find("o-1").expect("indexed");
        assert_eq!(by_order.spans.len(), 2, "the trace in which it was done");
        let id = by_order.trace_id.to_string();
        assert_eq!(store.find(&id).as_ref(), Some(&by_order));
        assert_eq!(store.find(&id.to_uppercase()), Some(by_order));
        assert_eq!(store.find("o-2"), None);
    }

    #[test]
    fn a_span_that_was_sent_twice_is_kept_once() {
        let store = Store::new(LIMITS);
        for _ in 0..2 {
            store.add([span(1, 1, None, "POST /orders", (0, 9))]);
        }
        assert_eq!(latest(&store, 10)[0].spans, 1);
    }

    #[test]
    fn a_span_that_has_gone_on_replaces_what_was_kept_of_it() {
        let store = Store::new(LIMITS);
        for end in [2, 9, 5] {
            store.add([span(1, 1, None, "saga place-order", (0, end))]);
        }
        let found = store.find(&format!("{:032x}", 1)).expect("kept");
        let ends: Vec<_> = found.spans.iter().map(|span| span.end).collect();
        assert_eq!(ends, [Timestamp::from_micros(9_000)]);
        let once = Store::new(LIMITS);
        once.add([span(1, 1, None, "saga place-order", (0, 9))]);
        assert_eq!(store.held(), once.held());
    }

    #[test]
    fn the_oldest_traces_go_first_with_their_keys() {
        let store = Store::new(LIMITS);
        for trace in 1..=5 {
            store.add([about(
                span(trace, 1, None, "x", (0, 1)),
                &format!("o-{trace}"),
            )]);
        }
        let names: Vec<_> = latest(&store, 10).iter().map(|t| t.trace_id).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(store.find("o-2"), None);
        assert!(store.find("o-3").is_some());
        assert_eq!(store.lock().index.len(), 3);
    }

    #[test]
    fn a_store_never_outgrows_its_bytes() {
        let store = Store::new(Limits {
            bytes: 2_000,
            ..LIMITS
        });
        for trace in 1..=50 {
            store.add([span(trace, 1, None, "x", (0, 1))]);
            assert!(store.held().bytes <= 2_000);
        }
    }

    #[test]
    fn a_trace_that_never_ends_is_cut_and_counted() {
        let store = Store::new(LIMITS);
        store.add((1..=9).map(|id| span(1, id, None, "x", (0, 1))));
        assert_eq!(latest(&store, 1)[0].spans, 4);
        assert_eq!(store.held().dropped, 5);
    }

    #[test]
    fn a_trace_that_is_full_learns_no_further_names() {
        let store = Store::new(LIMITS);
        store.add((1..=100).map(|id| SpanData {
            service: format!("service-{id}").into(),
            ..span(1, id, None, "x", (0, 1))
        }));
        let named: usize = store.lock().traces.values().map(|t| t.services.len()).sum();
        assert_eq!(LIMITS.spans, named);
    }

    #[test]
    fn the_names_of_services_count_among_the_bytes() {
        let held = |name: &str| {
            let store = Store::new(LIMITS);
            store.add([SpanData {
                service: name.into(),
                ..span(1, 1, None, "x", (0, 1))
            }]);
            store.held().bytes
        };
        assert_eq!(held(&"n".repeat(200)) - held("n"), 199);
    }

    #[test]
    fn nobody_waits_for_a_whole_export() {
        let store = Store::new(LIMITS);
        let mut free = 0;
        store.add((1..=1_000).map(|id| {
            free += usize::from(store.inner.try_lock().is_ok());
            span(1, id, None, "x", (0, 1))
        }));
        assert_eq!(free, 4);
        let mut free = 0;
        let lines = store.log((0..1_000).filter_map(|_| {
            free += usize::from(store.inner.try_lock().is_ok());
            None
        }));
        assert_eq!((free, lines), (1_000, 0));
    }

    #[test]
    fn a_summary_names_the_root() {
        let store = Store::new(LIMITS);
        let mut failed = span(1, 2, Some(1), "charge", (1, 20));
        failed.error = Some("declined".into());
        store.add([failed, span(1, 1, None, "POST /orders", (2, 9))]);
        let [trace] = &latest(&store, 1)[..] else {
            panic!("one trace")
        };
        assert_eq!(
            (trace.name.as_str(), trace.duration_ms),
            ("POST /orders", 19)
        );
        assert!(trace.failed);
    }
}
