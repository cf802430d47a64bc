//! Events that start sagas.

use std::time::Duration;

use ieum_base::Uuid;
use ieum_base::testing::pass;
use ieum_base::trace::TraceContext;
use ieum_eventstore::{
    Append, Checkpoints, EventStore, Expect, Fences, Filter, Metadata, NewEvent, Position,
    StreamName,
};
use serde_json::{Value, json};

use super::fixtures::{STEPS, from_json, order_json};
use crate::definition::Definition;
use crate::engine::List;
use crate::events::{self, saga_id};
use crate::state::Status;
use crate::testing::{Crash, Life, Process, Rig, Side};

fn triggered() -> Definition {
    let mut json = order_json();
    json["on"] = json!({"topic": "order.events", "type": "order.placed",
                        "where": {"flow": "orchestrated"}});
    from_json(json)
}

async fn publish(rig: &Rig, id: &str, flow: &str, data: &Value) {
    let metadata = Metadata {
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        other: [("source", "/orders"), ("id", id), ("flow", flow)]
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .into(),
        ..Metadata::default()
    };
    let event = NewEvent::new(
        Uuid::new_v5(&Uuid::NAMESPACE_URL, id.as_bytes()),
        "order.placed",
        data,
    )
    .expect("json")
    .with_metadata(metadata);
    let stream = StreamName::new("order.events", id).expect("a name");
    rig.log
        .append(Append::to(stream, Expect::Any, vec![event]))
        .await
        .expect("appended");
}

fn all(process: &Process) -> Vec<crate::engine::Summary> {
    process.handle.list(&List {
        limit: 1_000,
        ..List::default()
    })
}

async fn until_finished(process: &Process, count: usize) {
    for _ in 0..100_000 {
        if all(process)
            .iter()
            .filter(|saga| !saga.status.is_open())
            .count()
            >= count
        {
            return;
        }
        pass(Duration::from_millis(1)).await;
    }
    panic!(
        "not finished: {:?}, {:?}",
        all(process),
        process.handle.triggers()
    );
}

#[tokio::test(start_paused = true)]
async fn a_matching_event_starts_its_saga_once_and_in_its_trace() {
    let rig = Rig::new();
    publish(
        &rig,
        "before",
        "orchestrated",
        &json!({"orderId": "before"}),
    )
    .await;
    let process = rig.boot().await.expect("open");
    process.handle.define(triggered()).await.expect("defined");
    publish(&rig, "o-1", "orchestrated", &json!({"orderId": "o-1"})).await;
    publish(&rig, "o-2", "choreographed", &json!({"orderId": "o-2"})).await;
    publish(&rig, "o-3", "orchestrated", &json!({"orderId": "o-3"})).await;
    until_finished(&process, 2).await;
    pass(Duration::from_secs(20)).await;
    let mut keys: Vec<String> = all(&process).into_iter().map(|saga| saga.key).collect();
    keys.sort_unstable();
    // Neither the choreographed one, nor the one from before the definition.
    assert_eq!(keys, ["/orders o-1", "/orders o-3"]);
    let saga = process
        .handle
        .get(all(&process)[0].id)
        .await
        .expect("known");
    let context = TraceContext::parse(&saga.traceparent).expect("a traceparent");
    assert_eq!(
        context.trace_id.to_string(),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert!(saga.trigger.is_some());

    // A restart reads on from its checkpoint, and an event that is read again starts nothing.
    process.stop().await;
    let process = rig.boot().await.expect("open");
    publish(&rig, "o-4", "orchestrated", &json!({"orderId": "o-4"})).await;
    until_finished(&process, 3).await;
    assert_eq!(all(&process).len(), 3);
    assert_eq!(rig.world.order().len(), 3 * STEPS.len());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_start_its_saga_becomes_a_dead_letter() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    process.handle.define(triggered()).await.expect("defined");
    publish(&rig, "bad", "orchestrated", &json!({"order": "?"})).await;
    publish(&rig, "good", "orchestrated", &json!({"orderId": "good"})).await;
    until_finished(&process, 1).await;
    process.stop().await;
    let process = rig.boot().await.expect("open");
    pass(Duration::from_secs(20)).await;
    let filter = Filter::category("saga_deadletter");
    let page = rig
        .log
        .read_all(Position::START, &filter, 10)
        .await
        .expect("read");
    assert_eq!(page.events.len(), 1, "once, also after a restart");
    let letter: Value = page.events[0].decode().expect("json");
    assert_eq!(letter["key"], "/orders bad");
    assert!(
        letter["why"]
            .as_str()
            .is_some_and(|why| why.contains("input.orderId"))
    );
    assert_eq!(process.handle.open_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn h26_an_event_whose_saga_a_newer_version_went_on_with_is_no_dead_letter() {
    let rig = Rig::new();
    let life = Life::new();
    // The partitions are the first append, the definition the second, the start the third; the
    // checkpoint stays behind it.
    let crash = Some(Crash {
        at: 3,
        side: Side::After,
    });
    let process = rig.boot_until(crash, life.clone()).await.expect("open");
    process.handle.define(triggered()).await.expect("defined");
    publish(&rig, "o-1", "orchestrated", &json!({"orderId": "o-1"})).await;
    life.ended().await;
    let saga = events::stream(saga_id("place-order", "/orders o-1")).expect("a name");
    let newer = NewEvent::new(Uuid::nil(), "saga.step-delegated", &json!({})).expect("json");
    rig.log
        .append(Append::to(saga, Expect::Exists, vec![newer]))
        .await
        .expect("it was started");
    let process = rig.boot().await.expect("open");
    publish(&rig, "o-2", "orchestrated", &json!({"orderId": "o-2"})).await;
    until_finished(&process, 1).await;
    let filter = Filter::category("saga_deadletter");
    let page = rig.log.read_all(Position::START, &filter, 10).await;
    assert_eq!(page.expect("read").events.len(), 0);
    assert_eq!(process.handle.triggers()[0].problem, None);
}

#[tokio::test(start_paused = true)]
async fn h13_a_superseded_engine_moves_no_trigger() {
    let rig = Rig::new();
    let zombie = rig.boot().await.expect("open");
    zombie.handle.define(triggered()).await.expect("defined");
    pass(Duration::from_secs(1)).await;
    let fence = rig.log.raise("sagas/triggers").await.expect("a successor");
    // Nothing that the zombie would start: only its checkpoint would move.
    for _ in 0..40 {
        let events = (0..300).map(|_| {
            let id = ieum_base::Clock::system().new_id();
            NewEvent::new(id, "other", &json!({})).expect("json")
        });
        let stream = StreamName::new("noise", "1").expect("a name");
        rig.log
            .append(Append::to(stream, Expect::Any, events.collect()))
            .await
            .expect("appended");
    }
    pass(Duration::from_secs(20)).await;
    assert_eq!(fence.epoch, 2);
    assert!(zombie.handle.is_superseded());
    let name = "saga-trigger-place-order-order.events";
    let stored = rig.log.load(name).await.expect("read");
    assert_eq!(stored, None);
}

#[tokio::test(start_paused = true)]
async fn h19_a_crash_at_any_point_between_event_and_saga_loses_and_doubles_nothing() {
    for at in 1.. {
        let mut died = false;
        for side in [Side::Before, Side::After] {
            let rig = Rig::new();
            let life = Life::new();
            let first = async {
                let process = rig
                    .boot_until(Some(Crash { at, side }), life.clone())
                    .await
                    .expect("open");
                process.handle.define(triggered()).await.expect("defined");
                for id in ["a", "b", "c"] {
                    publish(&rig, id, "orchestrated", &json!({"orderId": id})).await;
                }
                until_finished(&process, 3).await;
            };
            tokio::select! {
                biased;
                () = life.ended() => died = true,
                () = first => {}
            }
            let process = rig.boot().await.expect("open");
            process.handle.define(triggered()).await.expect("defined");
            for id in ["a", "b", "c"] {
                publish(&rig, id, "orchestrated", &json!({"orderId": id})).await;
            }
            until_finished(&process, 3).await;
            for saga in all(&process) {
                assert_eq!(saga.status, Status::Completed);
                let audit = rig.world.audit(&saga.id.to_string(), saga.status, &STEPS);
                assert_eq!(audit, Ok(()), "{at} {side:?}");
            }
            assert_eq!(all(&process).len(), 3, "{at} {side:?}");
        }
        if !died {
            assert!(at > 20, "only {at} points");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_version_can_name_another_topic_or_none() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    let mut silent = triggered();
    silent.on = None;
    process.handle.define(triggered()).await.expect("defined");
    publish(&rig, "o-1", "orchestrated", &json!({"orderId": "o-1"})).await;
    until_finished(&process, 1).await;
    process.handle.define(silent).await.expect("silenced");
    pass(Duration::from_secs(10)).await;
    publish(&rig, "o-2", "orchestrated", &json!({"orderId": "o-2"})).await;
    pass(Duration::from_secs(10)).await;
    assert_eq!(all(&process).len(), 1);
    process
        .handle
        .define(triggered())
        .await
        .expect("speaks again");
    publish(&rig, "o-3", "orchestrated", &json!({"orderId": "o-3"})).await;
    until_finished(&process, 2).await;
    let keys: Vec<String> = all(&process).into_iter().map(|saga| saga.key).collect();
    assert!(!keys.contains(&"/orders o-2".to_owned()), "{keys:?}");
}
