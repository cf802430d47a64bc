//! The consumer against the broker in memory, on virtual time.

mod keys;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ieum_base::testing::pass;
use ieum_base::trace::{self, SpanData, SpanKind, SpanSink, TraceContext, Tracer};
use ieum_base::{Clock, HumanDuration, Rng, Stop, Tasks};
use serde_json::json;

use super::{Config, Consumer, HandlerError, Service};
use crate::memory::Broker;
use crate::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, Delivery, ErrorKind, GroupState, Groups,
    Inspect, Message, Publisher,
};

const TOPIC: &str = "order.events";

fn message(id: u64, key: &str, kind: &str) -> Message {
    let message = Message::new("/orders", id.to_string(), kind, &json!({"n": id}));
    message.expect("json").with_key(key)
}

async fn publish(broker: &Broker, keys: &[&str]) {
    let numbered = (1..).zip(keys);
    let messages: Vec<Message> = numbered
        .map(|(id, key)| message(id, key, "order.created"))
        .collect();
    broker.publish(TOPIC, &messages).await.expect("published");
}

fn consumer(broker: &Broker) -> Consumer {
    Consumer::new(Arc::new(broker.clone()), "inventory", "inventory-1").rng(Rng::seeded(1))
}

/// What handlers saw: the message's id and key, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, String)>>>);

impl Seen {
    fn note(&self, delivery: &Delivery) {
        let message = &delivery.message;
        let pair = (message.id.clone(), message.ordering_key().to_owned());
        self.0.lock().expect("not poisoned").push(pair);
    }

    fn ids(&self) -> Vec<String> {
        let seen = self.0.lock().expect("not poisoned");
        seen.iter().map(|(id, _)| id.clone()).collect()
    }

    fn by_key(&self) -> BTreeMap<String, Vec<u64>> {
        let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (id, key) in self.0.lock().expect("not poisoned").iter() {
            let id = id.parse().expect("a number");
            keys.entry(key.clone()).or_default().push(id);
        }
        keys
    }
}

async fn group(broker: &Broker) -> GroupState {
    let groups = broker.groups().await.expect("groups");
    groups.into_iter().next().expect("the group")
}

async fn dead_letters(broker: &Broker) -> Vec<DeadLetter> {
    let all = DeadLetterFilter::default();
    broker.dead_letters(&all, 100).await.expect("letters")
}

/// Runs `service` until the checkpoint has reached `position`.
async fn run_until(broker: &Broker, service: Service, position: u64) {
    let tasks = Tasks::new(Stop::new());
    service.spawn(&tasks);
    tokio::time::timeout(Duration::from_secs(3_600), async {
        loop {
            pass(Duration::from_millis(10)).await;
            let groups = broker.groups().await.expect("groups");
            if groups.iter().any(|g| g.checkpoint >= position) {
                break;
            }
        }
    })
    .await
    .expect("the checkpoint moves");
    assert_eq!(tasks.shut_down(Duration::from_secs(60)).await, []);
}

#[tokio::test(start_paused = true)]
async fn handles_each_message_and_acknowledges_it() {
    let broker = Broker::default();
    publish(&broker, &["a", "b", "a"]).await;
    let unknown = message(9, "c", "order.archived");
    broker.publish(TOPIC, &[unknown]).await.expect("published");
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |delivery| {
            noting.note(&delivery);
            async { Ok(()) }
        });
    let handle = service.handle();
    run_until(&broker, service, 4).await;
    assert_eq!(seen.ids().len(), 3);
    assert_eq!(handle.handled(), 3);
    assert_eq!(group(&broker).await.lag, 0);
}

#[tokio::test(start_paused = true)]
async fn keys_go_side_by_side_and_each_in_order() {
    let broker = Broker::default();
    publish(&broker, &["slow", "fast", "slow", "fast", "slow", "fast"]).await;
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |delivery: Delivery| {
            let seen = noting.clone();
            async move {
                let is_slow = delivery.message.ordering_key() == "slow";
                let pause = if is_slow { 1_000 } else { 1 };
                pass(Duration::from_millis(pause)).await;
                seen.note(&delivery);
                Ok(())
            }
        });
    run_until(&broker, service, 6).await;
    assert_eq!(seen.ids(), ["2", "4", "6", "1", "3", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_technical_failure_is_repeated_in_place() {
    let broker = Broker::default();
    publish(&broker, &["a", "a"]).await;
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |delivery: Delivery| {
            noting.note(&delivery);
            let attempts = noting.ids().len();
            async move {
                match attempts {
                    1 => Err(std::io::Error::other("the database is away"))?,
                    2 => panic!("a planted defect"),
                    _ => Ok(()),
                }
            }
        });
    let handle = service.handle();
    run_until(&broker, service, 2).await;
    assert_eq!(seen.ids(), ["1", "1", "1", "2"]);
    assert_eq!((handle.retried(), handle.dead_lettered()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_minutes_does_not_give_up() {
    let broker = Broker::default();
    publish(&broker, &["a"]).await;
    let back = tokio::time::Instant::now() + Duration::from_secs(300);
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |_| async move {
            if tokio::time::Instant::now() < back {
                return Err(HandlerError::retry("the database is away"));
            }
            Ok(())
        });
    let handle = service.handle();
    run_until(&broker, service, 1).await;
    assert_eq!((handle.handled(), handle.dead_lettered()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn h30_a_poison_message_parks_only_its_key() {
    let broker = Broker::default();
    publish(&broker, &["bad", "good", "bad", "good"]).await;
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |delivery: Delivery| {
            noting.note(&delivery);
            async move {
                if delivery.message.ordering_key() == "bad" {
                    return Err(HandlerError::reject("no such product"));
                }
                Ok(())
            }
        });
    run_until(&broker, service, 4).await;
    let expected = BTreeMap::from([("bad".into(), vec![1]), ("good".into(), vec![2, 4])]);
    assert_eq!(seen.by_key(), expected);
    let letters = dead_letters(&broker).await;
    let reasons: Vec<_> = letters
        .into_iter()
        .map(|l| (l.position, l.reason))
        .collect();
    let gave_up = DeadLetterReason::GaveUp("no such product".into());
    assert_eq!(reasons, [(1, gave_up), (3, DeadLetterReason::Behind(1))]);
}

#[tokio::test(start_paused = true)]
async fn gives_up_when_the_attempts_are_used_up() {
    let broker = Broker::default();
    publish(&broker, &["a", "b"]).await;
    let config = Config {
        attempts: 3,
        ..Config::default()
    };
    let service = consumer(&broker)
        .config(config)
        .topic(TOPIC)
        .on("order.created", |_| async {
            Err(HandlerError::retry("no"))
        });
    let handle = service.handle();
    run_until(&broker, service, 2).await;
    assert_eq!((handle.retried(), handle.dead_lettered()), (4, 2));
    let letters = dead_letters(&broker).await;
    let reason = DeadLetterReason::GaveUp("no (after 3 attempts)".into());
    assert_eq!(letters[0].reason, reason);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_handler_finish_and_keeps_the_rest() {
    let broker = Broker::default();
    publish(&broker, &["a", "a"]).await;
    let tasks = Tasks::new(Stop::new());
    let stop = tasks.stop().clone();
    consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |_| {
            stop.request();
            async {
                pass(Duration::from_secs(5)).await;
                Ok(())
            }
        })
        .spawn(&tasks);
    tasks.stop().requested().await;
    assert_eq!(tasks.shut_down(Duration::from_secs(60)).await, []);
    assert_eq!(group(&broker).await.checkpoint, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_the_drain_is_not_acknowledged() {
    let broker = Broker::default();
    publish(&broker, &["a"]).await;
    let tasks = Tasks::new(Stop::new());
    let stop = tasks.stop().clone();
    consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |_| {
            stop.request();
            std::future::pending()
        })
        .spawn(&tasks);
    tasks.stop().requested().await;
    assert_eq!(tasks.shut_down(Duration::from_secs(60)).await, []);
    assert_eq!(group(&broker).await.checkpoint, 0);
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_a_handler_works() {
    let broker = Broker::default();
    publish(&broker, &["a"]).await;
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |_| async {
            pass(Duration::from_secs(120)).await;
            Ok(())
        });
    let tasks = Tasks::new(Stop::new());
    service.spawn(&tasks);
    pass(Duration::from_secs(60)).await;
    let joined = broker.join(TOPIC, "inventory", "inventory-2").await;
    assert_eq!(joined.expect_err("held").kind(), ErrorKind::Busy);
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn h13_a_superseded_member_handles_again_only_after_it_joined_again() {
    let broker = Broker::default();
    publish(&broker, &["a"]).await;
    let seen = Seen::default();
    let noting = seen.clone();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", move |delivery: Delivery| {
            let seen = noting.clone();
            async move {
                pass(Duration::from_secs(30)).await;
                seen.note(&delivery);
                Ok(())
            }
        });
    let tasks = Tasks::new(Stop::new());
    service.spawn(&tasks);
    pass(Duration::from_secs(5)).await;
    // Somebody takes over under the same name, as a restarted process does.
    let epoch = broker.join(TOPIC, "inventory", "inventory-1").await;
    let epoch = epoch.expect("joined");
    pass(Duration::from_secs(60)).await;
    let late = broker.ack(TOPIC, "inventory", epoch, 1).await;
    assert_eq!(late.expect_err("over").kind(), ErrorKind::Superseded);
    assert_eq!(seen.ids(), ["1"]);
    assert_eq!(group(&broker).await.checkpoint, 1);
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn two_handlers_for_one_type_are_refused() {
    let broker = Broker::default();
    let service = consumer(&broker)
        .topic(TOPIC)
        .on("order.created", |_| async { Ok(()) })
        .on("order.created", |_| async { Ok(()) });
    let error = service.run(Stop::new()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let service = consumer(&broker).topic("no-topic");
    let error = service.run(Stop::new()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[derive(Default)]
struct Collected(Mutex<Vec<SpanData>>);

impl SpanSink for Collected {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_under_the_trace_of_the_message() {
    let broker = Broker::default();
    let request = TraceContext::root(&Rng::seeded(5), true);
    let mut placed = message(1, "o-1", "order.created").with_subject("o-1");
    placed.traceparent = Some(request.to_traceparent());
    broker.publish(TOPIC, &[placed]).await.expect("published");
    let sink = Arc::new(Collected::default());
    let spans: Arc<dyn SpanSink> = Arc::clone(&sink) as _;
    let inside: Arc<Mutex<Option<TraceContext>>> = Arc::default();
    let noting = Arc::clone(&inside);
    let service = consumer(&broker)
        .config(Config {
            heartbeat: HumanDuration::from_secs(1),
            ..Config::default()
        })
        .tracer(Tracer::new("inventory", spans, Clock::system()))
        .topic(TOPIC)
        .on("order.created", move |_| {
            let noting = Arc::clone(&noting);
            async move {
                *noting.lock().expect("not poisoned") = trace::current();
                Ok(())
            }
        });
    run_until(&broker, service, 1).await;
    let spans = sink.0.lock().expect("not poisoned");
    let [span] = spans.as_slice() else {
        panic!("one span, not {}", spans.len())
    };
    assert_eq!(
        (span.name.as_ref(), span.kind),
        ("process order.created", SpanKind::Consumer)
    );
    assert_eq!(
        (span.trace_id, span.parent),
        (request.trace_id, Some(request.span_id))
    );
    let order = span.attributes.iter().find(|(name, _)| name == "order.id");
    assert_eq!(order.map(|(_, value)| value.clone()), Some("o-1".into()));
    let inside = inside.lock().expect("not poisoned").clone();
    assert_eq!(inside.expect("a context").span_id, span.span_id);
}
