//! Several engines on one log: joining, leaving, dying, and what works on every one of them.

use std::time::Duration;

use ieum_base::testing::pass;
use ieum_base::{ManualClock, Timestamp, Uuid};
use ieum_eventstore::{Append, EventStore, Expect, Fences, NewEvent, StreamName};
use serde_json::json;

use super::fixtures::{STEPS, from_json, input, order, order_json};
use crate::decide::Operation::{Do, Undo};
use crate::engine::{ErrorKind, Handle, List, Obeyed, Start};
use crate::state::Status;
use crate::testing::{Behaviour, Process, Rig};

pub(super) const LEASE: Duration = Duration::from_secs(5);

/// Starts the saga of `key` on one engine, without waiting.
pub(super) async fn start(handle: &Handle, key: &str) -> Uuid {
    let start = Start {
        definition: "place-order".to_owned(),
        key: key.to_owned(),
        input: input(),
        trace: None,
    };
    handle.start(start).await.expect("started").id
}

pub(super) fn owned(process: &Process) -> usize {
    let view = process.handle.ownership().expect("it shares the log");
    view.own_count()
}

/// Waits until the partitions are fairly divided among `processes`, the triggers too.
pub(super) async fn settle(processes: &[&Process]) {
    for _ in 0..1_000 {
        let shares: Vec<usize> = processes.iter().map(|process| owned(process)).collect();
        let least = shares.iter().min().copied().unwrap_or(0);
        let fair = shares.iter().all(|share| *share <= least + 1);
        if fair && shares.iter().sum::<usize>() == 17 {
            return;
        }
        pass(Duration::from_millis(100)).await;
    }
    let shares: Vec<usize> = processes.iter().map(|process| owned(process)).collect();
    panic!("no fair shares in time: {shares:?}");
}

/// Two engines that share a log, with the definition known to both.
async fn two(rig: &Rig) -> (Process, Process) {
    let first = rig.join("one").await.expect("open");
    let second = rig.join("two").await.expect("open");
    settle(&[&first, &second]).await;
    first.handle.define(order()).await.expect("defined");
    (first, second)
}

/// A key whose saga `process` owns, or does not.
pub(super) fn key_for(process: &Process, own: bool) -> String {
    let view = process.handle.ownership().expect("shared");
    let is_own = |key: &str| {
        let id = crate::events::saga_id("place-order", key);
        let (_, low) = id.as_u64_pair();
        let item = format!("partition-{:04}", (low & (u64::MAX >> 2)) % 16);
        view.items
            .iter()
            .any(|owned| owned.item == item && owned.own)
    };
    let mut keys = (0..).map(|number| format!("key-{number}"));
    keys.find(|key| is_own(key) == own).expect("there is one")
}

#[tokio::test(start_paused = true)]
async fn sagas_that_any_platform_starts_are_run_by_their_owners_once() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    let mut ids = Vec::new();
    for number in 0..40 {
        let (one, other) = match number % 2 {
            0 => (&first, &second),
            _ => (&second, &first),
        };
        let id = start(&one.handle, &format!("o-{number}")).await;
        assert_eq!(start(&other.handle, &format!("o-{number}")).await, id);
        ids.push(id);
    }
    for id in &ids {
        for process in [&first, &second] {
            let status = process.handle.settled(*id).await.expect("ends");
            assert_eq!(status, Status::Completed);
        }
        let audit = rig.world.audit(&id.to_string(), Status::Completed, &STEPS);
        assert_eq!(audit, Ok(()));
    }
    assert_eq!(rig.world.calls().len(), 40 * STEPS.len());
    let completed = |process: &Process| process.handle.counts().completed;
    assert_eq!(completed(&first) + completed(&second), 40);
    assert!(completed(&first) > 5 && completed(&second) > 5);
    pass(Duration::from_secs(1)).await;
    for process in [&first, &second] {
        let all = process.handle.list(&List {
            limit: 100,
            ..List::default()
        });
        assert_eq!(all.len(), 40);
        assert!(all.iter().all(|saga| saga.status == Status::Completed));
        assert_eq!(process.handle.open_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_another_platform_owns_begins_without_a_poll() {
    let rig = Rig::new();
    let (first, _second) = two(&rig).await;
    pass(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    let id = start(&first.handle, &key_for(&first, false)).await;
    while rig.world.calls().is_empty() {
        pass(Duration::from_millis(1)).await;
    }
    assert!(
        begun.elapsed() < Duration::from_millis(50),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        first.handle.settled(id).await.expect("ends"),
        Status::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn the_sagas_of_a_killed_platform_are_finished_by_another_after_a_lease_length() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    rig.world.always("charge", Do, Behaviour::Hang);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(start(&second.handle, &format!("o-{number}")).await);
    }
    pass(Duration::from_secs(1)).await;
    first.life.end();
    rig.world.always("charge", Do, Behaviour::Succeed);
    let begun = tokio::time::Instant::now();
    for id in ids {
        let status = second.handle.settled(id).await.expect("ends");
        assert_eq!(status, Status::Completed);
        assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
    }
    assert!(begun.elapsed() < LEASE * 4, "{:?}", begun.elapsed());
    assert_eq!(second.handle.liveness(), []);
    assert!(second.handle.counts().recovered > 0);
    assert_eq!(owned(&second), 17);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_stops_gives_its_sagas_away_at_once() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    rig.world.always("charge", Do, Behaviour::Fail(503));
    let ids = [start(&first.handle, &key_for(&first, true)).await];
    pass(Duration::from_secs(1)).await;
    first.stop().await;
    rig.world.always("charge", Do, Behaviour::Succeed);
    let begun = tokio::time::Instant::now();
    for id in ids {
        let settled = tokio::time::timeout(LEASE, second.handle.settled(id)).await;
        assert_eq!(settled.expect("soon").expect("ends"), Status::Completed);
    }
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn commands_reach_a_saga_whoever_owns_it() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    rig.world.always("ship", Do, Behaviour::Fail(503));
    let key = key_for(&first, true);
    let id = start(&second.handle, &key).await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(
        second.handle.retry_now(id).await.expect("known"),
        Obeyed::Done
    );
    let resumed = second.handle.resume(id, "why not").await;
    assert_eq!(*resumed.expect_err("it runs").kind(), ErrorKind::NotParked);
    let cancelled = second.handle.cancel(id, "changed my mind").await;
    assert_eq!(cancelled.expect("before the pivot"), Obeyed::Done);
    let status = second.handle.settled(id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
    let late = second.handle.cancel(id, "again").await;
    assert_eq!(*late.expect_err("it has ended").kind(), ErrorKind::Ended);
    let unknown = second.handle.cancel(Uuid::nil(), "who").await;
    assert_eq!(
        *unknown.expect_err("no such").kind(),
        ErrorKind::UnknownSaga
    );

    rig.world.always("ship", Do, Behaviour::Succeed);
    rig.world.always("notify", Do, Behaviour::Fail(401));
    let key = key_for(&second, true);
    let id = start(&first.handle, &key).await;
    assert_eq!(
        first.handle.settled(id).await.expect("parks"),
        Status::Parked
    );
    pass(Duration::from_secs(1)).await;
    let parked = first.handle.list(&List {
        status: Some(Status::Parked),
        limit: 9,
        ..List::default()
    });
    assert_eq!(
        (parked.len(), parked[0].step.as_deref()),
        (1, Some("notify"))
    );
    let late = first.handle.cancel(id, "too late").await;
    assert_eq!(
        *late.expect_err("past the pivot").kind(),
        ErrorKind::TooLate
    );
    rig.world.always("notify", Do, Behaviour::Succeed);
    let resumed = first.handle.resume(id, "it is back").await;
    assert_eq!(resumed.expect("parked"), Obeyed::Done);
    assert_eq!(
        first.handle.settled(id).await.expect("ends"),
        Status::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_to_a_saga_without_an_owner_is_accepted_and_carried_out_once_it_has_one() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    rig.world.always("ship", Do, Behaviour::Fail(503));
    let id = start(&second.handle, &key_for(&first, true)).await;
    pass(Duration::from_secs(2)).await;
    first.life.end();
    let mut rig = rig;
    rig.config.command_wait = ieum_base::HumanDuration::from_millis(100);
    let third = rig.join("three").await.expect("open");
    let cancelled = third.handle.cancel(id, "changed my mind").await;
    assert_eq!(cancelled.expect("written down"), Obeyed::Accepted);
    assert_eq!(
        second.handle.settled(id).await.expect("ends"),
        Status::Compensated
    );
    let saga = third.handle.get(id).await.expect("known");
    let cancels = saga
        .history
        .iter()
        .filter(|item| item.kind == "saga.cancel-requested");
    assert_eq!(cancels.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_defined_on_one_platform_is_known_on_all() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    let mut json = order_json();
    json["name"] = json!("later");
    first.handle.define(from_json(json)).await.expect("defined");
    // At once, although it was not followed yet.
    let later = Start {
        definition: "later".to_owned(),
        key: "k".to_owned(),
        input: input(),
        trace: None,
    };
    second.handle.start(later).await.expect("started");
    pass(Duration::from_secs(1)).await;
    let names: Vec<String> = second
        .handle
        .definitions()
        .into_iter()
        .map(|d| d.name)
        .collect();
    assert_eq!(names, ["later", "place-order"]);
    let unknown = Start {
        definition: "never".to_owned(),
        key: "k".to_owned(),
        input: input(),
        trace: None,
    };
    let refused = second.handle.start(unknown).await.expect_err("unknown");
    assert_eq!(*refused.kind(), ErrorKind::UnknownDefinition);
}

async fn publish(rig: &Rig, number: u32) {
    let id = Uuid::from_u128(u128::from(number) + 1);
    let event = NewEvent::new(id, "order.placed", &input()).expect("json");
    let stream = StreamName::new("orders", number).expect("a name");
    let append = Append::to(stream, Expect::Any, vec![event]);
    rig.log.append(append).await.expect("appended");
}

#[tokio::test(start_paused = true)]
async fn events_start_each_saga_once_while_platforms_come_and_go() {
    let rig = Rig::new();
    let mut json = order_json();
    json["on"] = json!({"topic": "orders", "type": "order.placed"});
    let first = rig.join("one").await.expect("open");
    first.handle.define(from_json(json)).await.expect("defined");
    let mut processes = vec![first];
    for number in 0..60 {
        publish(&rig, number).await;
        pass(Duration::from_millis(300)).await;
        match number {
            10 | 20 => processes.push(rig.join(&format!("p{number}")).await.expect("open")),
            30 => processes.remove(0).life.end(),
            40 => processes.remove(0).stop().await,
            _ => {}
        }
    }
    let last = &processes[0];
    for _ in 0..1_000 {
        pass(Duration::from_millis(100)).await;
        if rig.world.effects().len() == 60 * STEPS.len() && last.handle.open_count() == 0 {
            break;
        }
    }
    let effects = rig.world.effects();
    assert_eq!(effects.len(), 60 * STEPS.len());
    assert!(
        effects
            .values()
            .all(|effect| effect.done == 1 && effect.undone == 0)
    );
    assert_eq!(last.handle.triggers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h16_platforms_whose_clocks_are_hours_apart_share_a_log() {
    let base = Timestamp::from_micros(1_800_000_000_000_000);
    let hour = Duration::from_secs(3_600);
    let rig = Rig::new();
    let early = ManualClock::starting_at(base);
    let late = ManualClock::starting_at(base.after(hour * 2));
    let mut clocked = rig.sharing("one");
    clocked.clock = early.clock();
    let first = clocked.boot().await.expect("open");
    let mut clocked = rig.sharing("two");
    clocked.clock = late.clock();
    let second = clocked.boot().await.expect("open");
    settle(&[&first, &second]).await;
    let mut json = order_json();
    json["deadline"] = json!("24h");
    first.handle.define(from_json(json)).await.expect("defined");
    rig.world.always("ship", Do, Behaviour::Fail(503));
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(start(&first.handle, &format!("o-{number}")).await);
    }
    pass(LEASE * 2).await;
    let (before, calls) = (owned(&first), rig.world.calls().len());
    late.advance(hour);
    pass(LEASE * 10).await;
    assert_eq!(owned(&first), before, "a step of a clock moves no lease");
    let rate = rig.world.calls().len() - calls;
    assert!(rate < 10 * 50, "{rate} calls in 50 s are a hot loop");
    first.life.end();
    rig.world.always("ship", Do, Behaviour::Succeed);
    for id in ids {
        let status = second.handle.settled(id).await.expect("ends");
        assert_eq!(status, Status::Completed);
        assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_partitions_is_the_first_platforms_for_ever() {
    let mut rig = Rig::new();
    let first = rig.join("one").await.expect("open");
    rig.config.partitions = 4;
    let second = rig.join("two").await.expect("open");
    settle(&[&first, &second]).await;
    assert_eq!(second.handle.ownership().expect("shared").items.len(), 17);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_goes_back_is_undone_once_though_its_owner_dies_in_the_middle() {
    let rig = Rig::new();
    let (first, second) = two(&rig).await;
    rig.world.always("ship", Do, Behaviour::Reject("no"));
    rig.world.script("charge", Undo, &[Behaviour::Hang]);
    let id = start(&first.handle, &key_for(&first, true)).await;
    pass(Duration::from_secs(1)).await;
    first.life.end();
    assert_eq!(
        second.handle.settled(id).await.expect("ends"),
        Status::Compensated
    );
    let audit = rig
        .world
        .audit(&id.to_string(), Status::Compensated, &STEPS);
    assert_eq!(audit, Ok(()));
    let epochs: Vec<u64> = rig
        .world
        .calls()
        .iter()
        .map(|call| {
            call.header("ieum-epoch")
                .expect("sent")
                .parse()
                .expect("a number")
        })
        .collect();
    assert!(epochs.is_sorted(), "the epoch never goes down: {epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_from_before_partitions_goes_on_above_its_epoch_and_shuts_its_engine_out() {
    let rig = Rig::new();
    let mut old = rig
        .log
        .raise("saga-engine")
        .await
        .expect("an earlier engine");
    for _ in 0..6 {
        old = rig.log.raise("saga-engine").await.expect("raised");
    }
    let process = rig.boot().await.expect("open");
    let ended = process.run(&order(), "o-1", input()).await;
    assert_eq!(ended.expect("it lives").1, Status::Completed);
    process.stop().await;
    let process = rig.boot().await.expect("open");
    process
        .run(&order(), "o-2", input())
        .await
        .expect("it lives");
    let calls = rig.world.calls();
    let epochs: Vec<_> = calls.iter().map(|call| call.header("ieum-epoch")).collect();
    assert_eq!(
        (old.epoch, epochs[0], epochs[11]),
        (7, Some("8"), Some("9"))
    );
    let event = NewEvent::new(Uuid::from_u128(7), "saga.parked", &json!({})).expect("json");
    let stream = StreamName::new("saga", "1").expect("a name");
    let late = Append::to(stream, Expect::Any, vec![event]).fenced(old);
    rig.log
        .append(late)
        .await
        .expect_err("an old engine is shut out");
}
