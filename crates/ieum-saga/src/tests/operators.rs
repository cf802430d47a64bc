//! Sagas that need a person: parked, resumed, cancelled, told to try now.

use std::time::Duration;

use ieum_base::testing::pass;
use ieum_base::{ManualClock, Timestamp, Uuid};
use serde_json::json;

use super::fixtures::{STEPS, begin, finish, from_json, input, order, order_json};
use crate::decide::Operation::{Do, Undo};
use crate::engine::{Config, ErrorKind, List, Obeyed};
use crate::state::{Progress, Status};
use crate::testing::{Behaviour, Process, Rig};

/// Waits until the saga's history has an event of this type.
async fn seen(process: &Process, id: Uuid, kind: &str) {
    for _ in 0..10_000 {
        let saga = process.handle.get(id).await.expect("known");
        if saga.history.iter().any(|item| item.kind == kind) {
            return;
        }
        pass(Duration::from_millis(10)).await;
    }
    panic!("no {kind} in time");
}

#[tokio::test(start_paused = true)]
async fn h22_a_compensation_that_fails_for_ever_is_parked_in_sight_and_never_a_hot_loop() {
    let rig = Rig::new();
    rig.world.always("charge", Undo, Behaviour::Fail(500));
    rig.world.script("ship", Do, &[Behaviour::Reject("no")]);
    let process = rig.boot().await.expect("open");
    let begun = tokio::time::Instant::now();
    let (id, status) = process
        .run(&order(), "o-1", input())
        .await
        .expect("it lives");
    assert_eq!(status, Status::Parked);
    let attempts = rig
        .world
        .order()
        .iter()
        .filter(|call| *call == "charge/undo")
        .count();
    assert_eq!(attempts, 1_000);
    assert!(
        begun.elapsed() > Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let parked = process.handle.list(&List {
        status: Some(Status::Parked),
        limit: 10,
        ..List::default()
    });
    assert_eq!(parked[0].step.as_deref(), Some("charge"));
    assert!(
        parked[0]
            .parked
            .as_deref()
            .is_some_and(|why| why.contains("1000 attempts"))
    );
    assert_eq!(process.handle.counts().parked, 1);
    // It waits for a person: that is not stalled. Others are not held up by it.
    assert_eq!(process.handle.liveness(), []);
    let other = process
        .run(&order(), "o-2", json!({"orderId": "o-2"}))
        .await;
    assert_eq!(other.expect("it lives").1, Status::Completed);

    // It outlives a restart, and goes on where it was when it is resumed.
    process.stop().await;
    let process = rig.boot().await.expect("open");
    assert_eq!(
        process.handle.settled(id).await.expect("known"),
        Status::Parked
    );
    rig.world.always("charge", Undo, Behaviour::Succeed);
    process
        .handle
        .resume(id, "the bank is back")
        .await
        .expect("parked");
    assert_eq!(
        process.handle.settled(id).await.expect("ends"),
        Status::Compensated
    );
    assert_eq!(
        rig.world
            .audit(&id.to_string(), Status::Compensated, &STEPS),
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn h22_a_refused_compensation_is_parked_at_once() {
    let rig = Rig::new();
    rig.world
        .always("reserve", Undo, Behaviour::Reject("too-late"));
    rig.world.script("ship", Do, &[Behaviour::Reject("no")]);
    let (process, id, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Parked);
    let saga = process.handle.get(id).await.expect("known");
    assert!(
        saga.summary
            .parked
            .is_some_and(|why| why.contains("too-late"))
    );
    assert_eq!(
        saga.steps[2].undo.as_ref().map(|undo| undo.progress),
        Some(Progress::Done)
    );
    assert_eq!(
        saga.steps[0].undo.as_ref().map(|undo| undo.progress),
        Some(Progress::Idle)
    );
}

#[tokio::test(start_paused = true)]
async fn behind_the_pivot_there_is_only_forward() {
    let rig = Rig::new();
    rig.world
        .script("notify", Do, &[Behaviour::Reject("mailbox-full")]);
    let (process, id, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Parked);
    let error = process
        .handle
        .cancel(id, "too bad")
        .await
        .expect_err("past the pivot");
    assert_eq!(*error.kind(), ErrorKind::TooLate);
    process.handle.resume(id, "emptied").await.expect("parked");
    assert_eq!(
        process.handle.settled(id).await.expect("ends"),
        Status::Completed
    );
    // A new round: under the old key the participant would repeat its no.
    let last = rig.world.calls().pop().expect("called");
    assert_eq!(
        last.header("idempotency-key"),
        Some(&*format!("{id}/notify/2"))
    );
    assert_eq!(
        rig.world.audit(&id.to_string(), Status::Completed, &STEPS),
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn h36_a_no_after_an_unanswered_attempt_behind_the_pivot_can_be_resumed() {
    let rig = Rig::new();
    rig.world.script(
        "notify",
        Do,
        &[Behaviour::LoseRequest, Behaviour::Reject("mailbox-full")],
    );
    let process = rig.boot().await.expect("open");
    let settled = process.run(&order(), "o-1", input()).await;
    let (id, status) = settled.expect("it lives");
    assert_eq!(status, Status::Parked);
    process.handle.resume(id, "emptied").await.expect("parked");
    let status = process.handle.settled(id).await.expect("ends");
    assert_eq!(status, Status::Completed);
    let keys: Vec<Option<String>> = rig.world.calls()[5..]
        .iter()
        .map(|call| call.header("idempotency-key").map(str::to_owned))
        .collect();
    let key = |round: u32| Some(format!("{id}/notify/{round}"));
    assert_eq!(keys, [key(1), key(1), key(2)]);
}

#[tokio::test(start_paused = true)]
async fn h36_a_pivot_that_may_have_happened_never_turns_back_by_itself() {
    for undo in [None, Some(json!("none"))] {
        let rig = Rig::new();
        rig.world.script(
            "confirm",
            Do,
            &[Behaviour::LoseRequest, Behaviour::Reject("no")],
        );
        let mut json = order_json();
        if let Some(undo) = &undo {
            json["steps"][4]["undo"] = undo.clone();
        }
        let process = rig.boot().await.expect("open");
        let settled = process.run(&from_json(json), "o-1", input()).await;
        let (_, status) = settled.expect("it lives");
        let expected = match undo {
            None => Status::Parked,
            Some(_) => Status::Compensated,
        };
        assert_eq!(status, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn h21_an_undo_that_its_participant_would_take_for_an_empty_one_waits_for_a_person() {
    let time = ManualClock::starting_at(Timestamp::from_micros(1_800_000_000_000_000));
    let mut rig = Rig::new();
    rig.clock = time.clock();
    rig.world.script("ship", Do, &[Behaviour::Fail(401)]);
    let mut json = order_json();
    json["deadline"] = json!("2160h");
    let process = rig.boot().await.expect("open");
    let settled = process.run(&from_json(json), "o-1", input()).await;
    let (id, status) = settled.expect("it lives");
    assert_eq!(status, Status::Parked);
    // Nobody looks for a month, and the barriers have forgotten what was charged.
    time.advance(Duration::from_secs(31 * 24 * 3_600));
    let cancelled = process.handle.cancel(id, "too late").await;
    cancelled.expect("before the pivot");
    seen(&process, id, "saga.compensating").await;
    let before = rig.world.calls().len();
    // The step that was rejected had no effect; the one before it had.
    pass(Duration::from_secs(60)).await;
    let saga = process.handle.get(id).await.expect("known").summary;
    assert_eq!(saga.status, Status::Parked);
    assert!(saga.parked.is_some_and(|why| why.contains("forgotten")));
    assert_eq!(rig.world.calls().len(), before, "nothing is undone");
    // A person has looked, step by step; it outlives a restart.
    process.stop().await;
    let process = rig.boot().await.expect("open");
    for _ in 0..3 {
        let parked = process.handle.settled(id).await;
        assert_eq!(parked.expect("known"), Status::Parked);
        process.handle.resume(id, "I looked").await.expect("parked");
    }
    let status = process.handle.settled(id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn h21_a_step_that_may_have_been_forgotten_is_not_done_twice() {
    let time = ManualClock::starting_at(Timestamp::from_micros(1_800_000_000_000_000));
    let mut rig = Rig::new();
    rig.clock = time.clock();
    rig.world.always("notify", Do, Behaviour::LoseAnswer);
    let process = rig.boot().await.expect("open");
    let started = process.start(&order(), "o-1", input()).await;
    let id = started.expect("started").id;
    seen(&process, id, "saga.step-uncertain").await;
    process.life.end();
    time.advance(Duration::from_secs(31 * 24 * 3_600));
    let before = rig.world.calls().len();
    let process = rig.boot().await.expect("open");
    let status = process.handle.settled(id).await.expect("known");
    assert_eq!(status, Status::Parked);
    assert_eq!(rig.world.calls().len(), before);
}

#[tokio::test(start_paused = true)]
async fn h24_a_cancel_takes_effect_once_the_call_in_flight_is_answered() {
    let rig = Rig::new();
    rig.world.script("charge", Do, &[Behaviour::Hang]);
    let (process, receipt) = begin(&rig, &order()).await;
    pass(Duration::from_secs(1)).await;
    process
        .handle
        .cancel(receipt.id, "changed my mind")
        .await
        .expect("accepted");
    process
        .handle
        .cancel(receipt.id, "really")
        .await
        .expect("accepted twice");
    let status = process.handle.settled(receipt.id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    let saga = process.handle.get(receipt.id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("cancelled"));
    assert_eq!(saga.cancel_requested.as_deref(), Some("changed my mind"));
    let audit = rig.world.audit(&receipt.id.to_string(), status, &STEPS);
    assert_eq!(audit, Ok(()));
    let error = process
        .handle
        .cancel(receipt.id, "again")
        .await
        .expect_err("over");
    assert_eq!(*error.kind(), ErrorKind::Ended);
}

#[tokio::test(start_paused = true)]
async fn h24_a_cancel_during_compensation_changes_nothing() {
    let rig = Rig::new();
    rig.world.script("ship", Do, &[Behaviour::Reject("no")]);
    rig.world.script("charge", Undo, &[Behaviour::Fail(503); 3]);
    let (process, receipt) = begin(&rig, &order()).await;
    seen(&process, receipt.id, "saga.undo-failed").await;
    process
        .handle
        .cancel(receipt.id, "late")
        .await
        .expect("it goes backward already");
    let status = process.handle.settled(receipt.id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    let saga = process.handle.get(receipt.id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("no"));
    assert_eq!(saga.cancel_requested, None);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_answer_parks_the_saga_and_it_can_be_resumed_or_cancelled() {
    for cancel in [false, true] {
        let rig = Rig::new();
        rig.world.script("charge", Do, &[Behaviour::Fail(401)]);
        let (process, id, status) = finish(&rig, &order()).await;
        assert_eq!(status, Status::Parked);
        let error = process.handle.retry_now(id).await;
        assert_eq!(
            error.map_err(|error| error.kind().clone()),
            Ok(Obeyed::Done)
        );
        let expected = if cancel {
            process.handle.cancel(id, "give up").await.expect("parked");
            Status::Compensated
        } else {
            process
                .handle
                .resume(id, "the key is right now")
                .await
                .expect("parked");
            Status::Completed
        };
        while process.handle.open_count() > 0 {
            pass(Duration::from_millis(1)).await;
        }
        assert_eq!(process.handle.settled(id).await.expect("ends"), expected);
        assert_eq!(rig.world.audit(&id.to_string(), expected, &STEPS), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_end_the_wait_before_the_next_attempt() {
    let mut rig = Rig::new();
    rig.config = Config {
        backoff_first: ieum_base::HumanDuration::from_secs(3_600),
        backoff_most: ieum_base::HumanDuration::from_secs(3_600),
        ..Config::default()
    };
    rig.world.script("notify", Do, &[Behaviour::Fail(503)]);
    let (process, receipt) = begin(&rig, &order()).await;
    seen(&process, receipt.id, "saga.step-uncertain").await;
    let before = tokio::time::Instant::now();
    process.handle.retry_now(receipt.id).await.expect("waiting");
    process.handle.settled(receipt.id).await.expect("ends");
    assert!(before.elapsed() < Duration::from_secs(1));
    let error = process
        .handle
        .resume(receipt.id, "")
        .await
        .expect_err("over");
    assert_eq!(*error.kind(), ErrorKind::Ended);
}
