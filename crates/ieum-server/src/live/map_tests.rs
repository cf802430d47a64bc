//! The map on virtual time, against a list of everything that happened.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use ieum_base::testing::pass;
use ieum_base::trace::{AttributeValue, SpanData, SpanKind};
use ieum_base::{ManualClock, Rng, Timestamp};

use super::map::{MapLimits, Seeable, ServiceMap};
use crate::traces::{Limits, LogLimits, Store};

/// A map, and the clocks that it lives by.
struct World {
    map: ServiceMap,
    clock: ManualClock,
}

/// Calls and failures by name, or by both names.
type Counts<K> = BTreeMap<K, (u64, u64)>;

impl World {
    fn new() -> Self {
        Self::with(MapLimits::default())
    }

    fn with(limits: MapLimits) -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000));
        Self {
            map: ServiceMap::new(clock.clock(), limits),
            clock,
        }
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        pass(time).await;
    }

    fn arrive(&self, spans: &[SpanData]) {
        let mut arrival = self.map.arrival();
        spans.iter().for_each(|span| arrival.span(span));
    }

    /// A span that ended now, after 3 ms.
    fn span(&self, trace: u64, id: u64, parent: Option<u64>, service: &str) -> SpanData {
        let end = self.clock.clock().now();
        SpanData {
            trace_id: format!("{:032x}", trace + 1).parse().expect("not zero"),
            span_id: format!("{:016x}", id + 1).parse().expect("not zero"),
            parent: parent.map(|id| format!("{:016x}", id + 1).parse().expect("not zero")),
            service: service.into(),
            name: "work".into(),
            kind: SpanKind::Server,
            start: Timestamp::from_micros(end.as_micros() - 3_000),
            end,
            attributes: Vec::new(),
            error: None,
        }
    }

    fn services(&self) -> Counts<String> {
        let Seeable { services, .. } = self.map.see();
        let counts = services.iter().filter(|(_, sum)| sum.calls > 0);
        counts
            .map(|(name, sum)| (name.to_string(), (sum.calls, sum.failed)))
            .collect()
    }

    fn edges(&self) -> Counts<(String, String)> {
        let Seeable { edges, .. } = self.map.see();
        let counts = edges.iter().map(|(from, to, sum)| {
            let names = (from.to_string(), to.to_string());
            (names, (sum.calls, sum.failed))
        });
        counts.collect()
    }
}

fn client(mut span: SpanData, peer: Option<&str>) -> SpanData {
    span.kind = SpanKind::Client;
    let peer = peer.map(|peer| ("peer.service".into(), peer.to_owned().into()));
    span.attributes.extend(peer);
    span
}

fn edge(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_is_an_edge_whichever_of_its_spans_comes_first() {
    for answer_first in [false, true] {
        let world = World::new();
        let call = client(world.span(1, 1, None, "gateway"), None);
        let answer = world.span(1, 2, Some(1), "orders");
        let mut spans = [call, answer];
        if answer_first {
            spans.reverse();
        }
        for span in spans {
            world.arrive(&[span]);
            world.pass(SECOND).await;
        }
        let expected = BTreeMap::from([(edge("gateway", "orders"), (1, 0))]);
        assert_eq!(world.edges(), expected, "answer first: {answer_first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_names_its_peer_is_counted_once_and_also_without_an_answer() {
    let world = World::new();
    let answer = world.span(1, 2, Some(1), "orders");
    let mut call = client(world.span(1, 1, None, "gateway"), Some("orders"));
    call.error = Some("503".into());
    world.arrive(&[answer.clone(), call.clone(), answer]);
    call.span_id = "00000000000000ff".parse().expect("an id");
    world.arrive(&[call]);
    let expected = BTreeMap::from([(edge("gateway", "orders"), (2, 2))]);
    assert_eq!(world.edges(), expected);
    assert_eq!(
        world.services(),
        BTreeMap::from([("orders".into(), (1, 0))])
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_failure_of_a_call() {
    let world = World::new();
    let said = [
        ("http.response.status_code", 422),
        ("http.response.status_code", 503),
        ("rpc.grpc.status_code", 5),
        ("rpc.grpc.status_code", 14),
    ];
    for (number, (name, code)) in (1..).zip(said) {
        let mut call = client(world.span(number, 1, None, "sagas"), Some("payments"));
        call.error = Some(code.to_string());
        call.attributes
            .push((name.into(), AttributeValue::Int(code)));
        world.arrive(&[call]);
    }
    let expected = BTreeMap::from([(edge("sagas", "payments"), (4, 2))]);
    assert_eq!(world.edges(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_message_leads_from_who_published_to_each_who_handles() {
    let world = World::new();
    let publishes = world.span(1, 1, None, "orders");
    let handles = |id, service| SpanData {
        kind: SpanKind::Consumer,
        ..world.span(1, id, Some(1), service)
    };
    let itself = handles(4, "orders");
    world.arrive(&[
        handles(2, "shipping"),
        publishes,
        handles(3, "mail"),
        itself,
    ]);
    let expected = [edge("orders", "mail"), edge("orders", "shipping")].map(|e| (e, (1, 0)));
    assert_eq!(world.edges(), BTreeMap::from(expected));
}

#[tokio::test(start_paused = true)]
async fn a_span_that_comes_again_is_counted_once() {
    let world = World::new();
    let open = world.span(1, 1, None, "orders");
    for _ in 0..20 {
        world.arrive(std::slice::from_ref(&open));
        let calls = world
            .services()
            .values()
            .map(|(calls, _)| calls)
            .sum::<u64>();
        assert!(calls <= 1, "{calls}");
        world.pass(SECOND * 10).await;
    }
    // It was counted at the beginning, which is over; what is repeated later is old.
    assert_eq!(world.services(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_hours_off_moves_nothing() {
    for hours in [-5_i64, 5] {
        let world = World::new();
        for second in 0..50 {
            let mut span = world.span(second, 1, None, "orders");
            let off =
                |time: Timestamp| Timestamp::from_micros(time.as_micros() + hours * 3_600_000_000);
            (span.start, span.end) = (off(span.start), off(span.end));
            world.arrive(&[span]);
            world.pass(SECOND).await;
        }
        let expected = BTreeMap::from([("orders".to_owned(), (50, 0))]);
        assert_eq!(world.services(), expected, "{hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_from_the_future_makes_no_other_old() {
    let world = World::new();
    for id in 0..10 {
        let mut span = world.span(id, 1, None, "orders");
        if id % 3 == 0 {
            span.end = Timestamp::from_micros(i64::MAX);
        }
        world.arrive(&[span]);
        world.pass(SECOND).await;
    }
    assert_eq!(world.services()["orders"], (10, 0));
}

#[tokio::test(start_paused = true)]
async fn one_export_is_remembered_no_further_than_many() {
    let world = World::with(MapLimits {
        spans: 100,
        ..MapLimits::default()
    });
    let spans: Vec<_> = (0..1_000)
        .map(|id| world.span(1, id, Some(id + 5_000), "orders"))
        .collect();
    world.arrive(&spans);
    let remembered = world.map.remembered();
    assert!(remembered <= 204, "{remembered}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_a_long_name_is_cut() {
    let world = World::new();
    let call = client(
        world.span(1, 1, None, "gateway"),
        Some(&"n".repeat(1 << 20)),
    );
    world.arrive(&[call]);
    let edges = world.edges();
    assert!(
        edges.keys().all(|(_, to)| to.len() < 300),
        "{}",
        edges.len()
    );
    assert_eq!(edges.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_counts_when_it_was_and_not_at_all_after_the_window() {
    let world = World::new();
    let early = world.span(1, 1, None, "orders");
    let held_back = world.span(2, 1, None, "orders");
    world.arrive(&[early]);
    world.pass(SECOND * 40).await;
    world.arrive(std::slice::from_ref(&held_back));
    assert_eq!(world.services()["orders"], (2, 0));
    world.pass(SECOND * 21).await;
    assert_eq!(
        world.services(),
        BTreeMap::new(),
        "both were at the beginning"
    );
    let much_later = SpanData {
        trace_id: "000000000000000000000000000000ff".parse().expect("an id"),
        ..held_back
    };
    world.arrive(&[much_later]);
    assert_eq!(world.services(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn invented_names_do_not_fill_the_memory_and_idle_ones_make_room() {
    let world = World::with(MapLimits {
        services: 10,
        edges: 5,
        spans: 100,
    });
    for n in 0..50 {
        let call = client(world.span(n, 1, None, &format!("caller-{n}")), Some("x"));
        let answer = world.span(n, 2, None, &format!("callee-{n}"));
        world.arrive(&[call, answer]);
    }
    assert!(world.edges().len() <= 5, "{:?}", world.edges());
    assert!(world.map.overflowed() > 0);
    world.pass(SECOND * 61).await;
    let call = client(world.span(99, 1, None, "gateway"), Some("orders"));
    world.arrive(&[call]);
    let expected = BTreeMap::from([(edge("gateway", "orders"), (1, 0))]);
    assert_eq!(world.edges(), expected);
}

#[tokio::test(start_paused = true)]
async fn traces_that_are_not_kept_count_all_the_same() {
    let world = World::new();
    let limits = Limits {
        traces: 1,
        bytes: 1 << 20,
        spans: 1,
        logs: LogLimits::default(),
    };
    let store = Store::new(limits).counted_by(world.map.clone());
    for trace in 0..50 {
        store.add([
            world.span(trace, 1, None, "orders"),
            world.span(trace, 2, Some(1), "users"),
        ]);
    }
    assert_eq!((store.held().traces, store.held().dropped), (1, 50));
    let expected = ["orders", "users"].map(|name| (name.to_owned(), (50, 0)));
    assert_eq!(world.services(), BTreeMap::from(expected));
}

/// Everything that ever arrived, once.
#[derive(Default)]
struct List {
    spans: Vec<(u64, SpanData)>,
    known: HashSet<(String, String)>,
}

impl List {
    fn arrive(&mut self, second: u64, span: &SpanData) {
        let id = (span.trace_id.to_string(), span.span_id.to_string());
        if self.known.insert(id) {
            self.spans.push((second, span.clone()));
        }
    }

    fn services(&self, now: u64) -> Counts<String> {
        let mut counts = Counts::new();
        for (second, span) in &self.spans {
            let is_answer = matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
            if is_answer && now - second < 60 {
                count(&mut counts, span.service.to_string(), span);
            }
        }
        counts
    }

    /// By the rules as they are told to people.
    fn edges(&self, now: u64) -> Counts<(String, String)> {
        let ids = self.spans.iter().map(|(second, span)| {
            let id = (span.trace_id, span.span_id);
            (id, (*second, span))
        });
        let by_id: HashMap<_, _> = ids.collect();
        let mut counts = Counts::new();
        for (second, span) in &self.spans {
            let peer = span.attributes.first().map(|(_, value)| match value {
                AttributeValue::Text(text) => text.to_string(),
                other => panic!("{other:?}"),
            });
            if let (Some(peer), true) = (peer, now - second < 60) {
                count(&mut counts, (span.service.to_string(), peer), span);
            }
            let is_answer = matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
            let parent = span.parent.and_then(|id| by_id.get(&(span.trace_id, id)));
            let Some((came, parent)) = parent.filter(|_| is_answer) else {
                continue;
            };
            let is_call = parent.kind == SpanKind::Client;
            if !parent.attributes.is_empty() || now - second.max(came) >= 60 {
                continue;
            }
            if is_call || parent.service != span.service {
                let names = (parent.service.to_string(), span.service.to_string());
                count(&mut counts, names, if is_call { parent } else { span });
            }
        }
        counts
    }
}

fn count<K: Ord>(counts: &mut Counts<K>, key: K, span: &SpanData) {
    let (calls, failed) = counts.entry(key).or_default();
    *calls += 1;
    *failed += u64::from(span.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn agrees_with_a_list_of_random_spans_in_any_order_with_repetitions() {
    for seed in 0..8 {
        let (rng, world) = (Rng::seeded(seed), World::new());
        let (mut list, mut now) = (List::default(), 0);
        let mut on_the_way: Vec<SpanData> = Vec::new();
        for trace in 0..400 {
            on_the_way.extend(random_trace(&rng, &world, trace));
            while on_the_way.len() > 12 {
                let mut span = on_the_way.swap_remove(rng.below(on_the_way.len()));
                // What was long on the way has its own test.
                (span.start, span.end) = moved_to_now(&span, &world);
                for _ in 0..1 + rng.below(3) / 2 {
                    list.arrive(now, &span);
                    world.arrive(std::slice::from_ref(&span));
                }
            }
            if rng.below(3) == 0 {
                let seconds = 1 + rng.below(4) as u64;
                now += seconds;
                world.pass(Duration::from_secs(seconds)).await;
            }
            if rng.below(20) == 0 {
                assert_eq!(world.services(), list.services(now), "seed {seed}");
                assert_eq!(world.edges(), list.edges(now), "seed {seed}");
            }
        }
    }
}

fn moved_to_now(span: &SpanData, world: &World) -> (Timestamp, Timestamp) {
    let (took, now) = (span.end.since(span.start), world.clock.clock().now());
    let took = i64::try_from(took.as_micros()).expect("short");
    (Timestamp::from_micros(now.as_micros() - took), now)
}

/// A tree of up to eight spans of six services.
fn random_trace(rng: &Rng, world: &World, trace: u64) -> Vec<SpanData> {
    let service = || ["a", "b", "c", "d", "e", "f"][rng.below(6)];
    let spans = (0..1 + rng.below(8) as u64).map(|id| {
        let parent = (id > 0).then(|| rng.below(id as usize) as u64);
        let mut span = world.span(trace, id, parent, service());
        let failed = rng.below(4) == 0;
        span.error = failed.then(|| "it failed".to_owned());
        match rng.below(6) {
            0 | 1 => client(span, None),
            2 => client(span, Some(service())),
            3 => SpanData {
                kind: SpanKind::Consumer,
                ..span
            },
            4 => SpanData {
                kind: SpanKind::Internal,
                ..span
            },
            _ => span,
        }
    });
    spans.collect()
}
