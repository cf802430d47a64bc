//! What a user of the engine sees: sagas that complete, turn back, wait and are refused.

use std::time::Duration;

use ieum_base::testing::pass;
use serde_json::json;

use super::fixtures::{STEPS, finish, from_json, input, order, order_json};
use crate::decide::Operation::{Do, Undo};
use crate::engine::ErrorKind;
use crate::state::Status;
use crate::testing::{Behaviour, Rig};

#[tokio::test(start_paused = true)]
async fn a_saga_calls_its_steps_in_order_and_completes() {
    let rig = Rig::new();
    let (process, id, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Completed);
    assert_eq!(rig.world.order(), STEPS);
    let charge = &rig.world.calls()[2];
    assert_eq!(charge.path, "/charge/o-1");
    assert_eq!(
        charge.header("idempotency-key"),
        Some(&*format!("{id}/charge/1"))
    );
    assert_eq!(charge.header("ieum-saga-id"), Some(&*id.to_string()));
    assert_eq!(charge.header("ieum-step"), Some("charge"));
    assert_eq!(charge.header("ieum-epoch"), Some("1"));
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.steps[2].answer, Some(json!({"step": "charge"})));
    assert_eq!(process.handle.open_count(), 0);
    assert_eq!(process.handle.counts().completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_business_no_undoes_what_was_done_in_reverse() {
    let rig = Rig::new();
    rig.world
        .script("ship", Do, &[Behaviour::Reject("undeliverable")]);
    let (process, id, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Compensated);
    assert_eq!(
        rig.world.order(),
        [
            "validate",
            "reserve",
            "charge",
            "ship",
            "charge/undo",
            "reserve/undo",
            "validate/undo"
        ]
    );
    let undo = &rig.world.calls()[4];
    assert_eq!(undo.path, "/charge/o-1/undo?because=undeliverable");
    assert_eq!(
        undo.header("idempotency-key"),
        Some(&*format!("{id}/charge/1/undo"))
    );
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("undeliverable"));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_starts_one_saga_and_another_input_is_refused() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    let first = process
        .start(&order(), "o-1", input())
        .await
        .expect("started");
    let again = process
        .start(&order(), "o-1", input())
        .await
        .expect("known");
    assert_eq!((first.id, first.created), (again.id, true));
    assert!(!again.created);
    let other = process
        .start(&order(), "o-1", json!({"orderId": "o-2"}))
        .await;
    assert_eq!(
        *other.expect_err("another input").kind(),
        ErrorKind::KeyReused
    );
    process.handle.settled(first.id).await.expect("ends");
    let later = process
        .start(&order(), "o-1", input())
        .await
        .expect("known");
    assert_eq!((later.id, later.created), (first.id, false));
    assert_eq!(rig.world.order().len(), STEPS.len());
}

#[tokio::test(start_paused = true)]
async fn h27_what_is_too_large_or_incomplete_is_refused_at_the_start() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    let large = json!({"orderId": "x".repeat(300 << 10)});
    let error = process
        .start(&order(), "o-1", large)
        .await
        .expect_err("too large");
    assert!(
        matches!(error.kind(), ErrorKind::TooLarge { limit: 262_144, .. }),
        "{error}"
    );
    let error = process
        .start(&order(), "o-2", json!({}))
        .await
        .expect_err("incomplete");
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("input.orderId"), "{error}");
    let error = process
        .start(&order(), "", input())
        .await
        .expect_err("no key");
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert_eq!(process.handle.open_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn more_open_sagas_than_allowed_are_refused_and_nothing_is_lost() {
    let mut rig = Rig::new();
    rig.config.max_open = 1;
    rig.world.always("validate", Do, Behaviour::Fail(503));
    let process = rig.boot().await.expect("open");
    process
        .start(&order(), "o-1", input())
        .await
        .expect("started");
    let error = process
        .start(&order(), "o-2", input())
        .await
        .expect_err("full");
    assert_eq!(*error.kind(), ErrorKind::Busy);
    assert!(error.retry().is_worthwhile());
}

#[tokio::test(start_paused = true)]
async fn as_many_sagas_call_at_once_as_are_allowed() {
    let mut rig = Rig::new();
    rig.config.concurrency = 2;
    rig.world.always("validate", Do, Behaviour::Hang);
    let process = rig.boot().await.expect("open");
    for key in ["a", "b", "c"] {
        process
            .start(&order(), key, input())
            .await
            .expect("started");
    }
    pass(Duration::from_secs(1)).await;
    assert_eq!(rig.world.order().len(), 2);
    // After the timeout the first two wait, and the third has its turn.
    pass(Duration::from_secs(16)).await;
    let calls = rig.world.calls();
    let sagas: std::collections::HashSet<_> = calls
        .iter()
        .filter_map(|call| call.header("ieum-saga-id"))
        .collect();
    assert_eq!(sagas.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_stays_unanswered_is_given_up_and_undone() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::LoseAnswer);
    let mut json = order_json();
    json["steps"][2]["attempts"] = json!(3);
    let (process, id, status) = finish(&rig, &from_json(json)).await;
    assert_eq!(status, Status::Compensated);
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("attempts-exhausted"));
    assert_eq!(saga.steps[2].call.attempts, 3);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_was_certainly_not_sent_needs_no_undo() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::Refuse);
    let (_process, _, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Compensated);
    assert!(!rig.world.order().contains(&"charge/undo".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_was_certainly_not_sent_uses_up_no_attempt() {
    let rig = Rig::new();
    rig.world.script("charge", Do, &[Behaviour::Refuse; 10]);
    rig.world.script("notify", Do, &[Behaviour::Refuse; 10]);
    let mut json = order_json();
    json["steps"][2]["attempts"] = json!(1);
    json["steps"][5]["attempts"] = json!(1);
    let (_process, id, status) = finish(&rig, &from_json(json)).await;
    assert_eq!(status, Status::Completed);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_undo_does_not_share_the_few_attempts_of_its_step() {
    let rig = Rig::new();
    rig.world.always("ship", Do, Behaviour::Fail(500));
    rig.world.script("ship", Undo, &[Behaviour::Refuse; 10]);
    rig.world
        .script("charge", Undo, &[Behaviour::Fail(500); 40]);
    let mut json = order_json();
    json["steps"][2]["attempts"] = json!(3);
    json["steps"][3]["attempts"] = json!(3);
    let (_process, id, status) = finish(&rig, &from_json(json)).await;
    assert_eq!(status, Status::Compensated);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_never_succeeds_is_parked_within_its_own_bounds() {
    // One that cannot be reached is looked for once per second, with the default settings.
    for (behaviour, attempts, least) in
        [(Behaviour::Fail(500), 40, 60), (Behaviour::Refuse, 50, 30)]
    {
        let mut rig = Rig::new();
        rig.config.undo_attempts = 40;
        rig.config.unsent_attempts = 50;
        rig.world.script("ship", Do, &[Behaviour::Reject("no")]);
        rig.world.always("charge", Undo, behaviour);
        let process = rig.boot().await.expect("open");
        let begun = tokio::time::Instant::now();
        let (id, status) = process
            .run(&order(), "o-1", input())
            .await
            .expect("it lives");
        assert_eq!(status, Status::Parked);
        let saga = process.handle.get(id).await.expect("known");
        let undo = saga.steps[2].undo.as_ref().expect("tried");
        assert_eq!(undo.attempts, attempts);
        assert!(
            begun.elapsed() > Duration::from_secs(least),
            "it waits between attempts"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_to_keep_parks_the_saga_at_once() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::TooLarge);
    let (process, id, status) = finish(&rig, &order()).await;
    assert_eq!(status, Status::Parked);
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.steps[2].call.attempts, 1);
    // It happened all the same: whoever cancels it has it undone.
    process.handle.cancel(id, "too large").await.expect("open");
    while process.handle.open_count() > 0 {
        pass(Duration::from_millis(1)).await;
    }
    let status = process.handle.settled(id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn h24_the_deadline_turns_a_saga_back_before_its_pivot_only() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::Hang);
    let mut json = order_json();
    json["deadline"] = json!("40s");
    let process = rig.boot().await.expect("open");
    let begun = tokio::time::Instant::now();
    let definition = from_json(json);
    let (id, status) = process
        .run(&definition, "o-1", input())
        .await
        .expect("it lives");
    assert_eq!(status, Status::Compensated);
    // The last attempt was cut off by the saga's deadline, not by the step's timeout of 15 s.
    assert!(
        begun.elapsed() < Duration::from_secs(41),
        "{:?}",
        begun.elapsed()
    );
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("deadline-exceeded"));
    assert!(rig.world.order().contains(&"charge/undo".to_owned()));

    rig.world.always("charge", Do, Behaviour::Succeed);
    rig.world.script("notify", Do, &[Behaviour::Hang; 4]);
    let (_, status) = process
        .run(&definition, "o-2", json!({"orderId": "o-2"}))
        .await
        .expect("it lives");
    assert_eq!(status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn h36_a_charge_that_is_still_running_is_asked_again_when_it_says() {
    let rig = Rig::new();
    rig.world.script(
        "charge",
        Do,
        &[Behaviour::StillRunning, Behaviour::StillRunning],
    );
    let process = rig.boot().await.expect("open");
    let begun = tokio::time::Instant::now();
    let (_, status) = process
        .run(&order(), "o-1", input())
        .await
        .expect("it lives");
    assert_eq!(status, Status::Completed);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
