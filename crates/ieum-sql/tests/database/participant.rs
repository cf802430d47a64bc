//! Inbox, barrier and idempotency keys.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{EngineUrl, ManualClock, Timestamp};
use ieum_sql::barrier::{self, Call, Op};
use ieum_sql::idempotency::{self, Outcome};
use ieum_sql::{Answer, Database, Error, ErrorKind, inbox};
use serde_json::json;

use crate::fixture::{balance, book, both, service, service_at};

both![
    a_message_delivered_twice_has_its_effect_once,
    h20_a_call_whose_answer_was_lost_is_answered_again_and_done_once,
    h21_an_undo_before_its_do_is_recorded_and_the_late_do_is_refused,
    h21_calls_and_their_cancel_at_once_leave_nothing_behind,
    h13_calls_of_a_superseded_owner_are_refused,
    a_refusal_is_final_and_a_failure_is_not,
    an_effect_that_fails_leaves_no_record,
    what_is_old_is_forgotten_a_piece_at_a_time,
    h33_of_two_requests_with_one_key_at_once_exactly_one_runs,
    h33_a_failure_does_not_use_the_key_up,
    a_key_is_found_only_in_its_scope,
];

async fn a_message_delivered_twice_has_its_effect_once(url: EngineUrl) {
    let clock = ManualClock::starting_at(Timestamp::from_micros(5));
    let database = service_at(&url, &clock).await;
    let deliver = |consumer: &'static str, id: &'static str| {
        database.write(move |tx| {
            let is_first = inbox::claim(tx, consumer, "/orders", id)?;
            if is_first {
                book(tx, 100)?;
            }
            Ok::<_, Error>(is_first)
        })
    };
    let outcomes = join_all((0..8).map(|_| deliver("mail", "1"))).await;
    let firsts = outcomes
        .into_iter()
        .filter(|first| *first.as_ref().expect("claims"));
    assert_eq!(firsts.count(), 1);
    assert!(deliver("analytics", "1").await.expect("claims"));
    assert_eq!(balance(&database).await, 200);
    clock.advance(Duration::from_secs(1));
    let forget = |before| database.write(move |tx| inbox::forget_before(tx, before, 10));
    assert_eq!(forget(Timestamp::from_micros(5)).await.expect("deletes"), 0);
    assert_eq!(forget(Timestamp::from_micros(6)).await.expect("deletes"), 2);
}

pub(crate) fn call(saga: &str, op: Op, round: u32, epoch: u64) -> Call {
    Call {
        saga: saga.to_owned(),
        step: "charge-payment".into(),
        round,
        epoch,
        op,
    }
}

/// Makes a call whose effect books 100, or −100 to undo it, and answers `status`.
pub(crate) async fn charge(database: &Database, call: Call, status: u16) -> Answer {
    let made = database.write(move |tx| {
        barrier::run(tx, &call, || {
            book(tx, if call.op == Op::Do { 100 } else { -100 })?;
            Ok::<_, Error>(Answer::new(status, json!({ "paymentId": 7 })))
        })
    });
    made.await.expect("answers")
}

async fn h20_a_call_whose_answer_was_lost_is_answered_again_and_done_once(url: EngineUrl) {
    let database = service(&url).await;
    let first = charge(&database, call("s", Op::Do, 1, 1), 201).await;
    let again = charge(&database, call("s", Op::Do, 1, 1), 201).await;
    assert_eq!((&first, first.status), (&again, 201));
    assert_eq!(balance(&database).await, 100);
    for _ in 0..2 {
        let undone = charge(&database, call("s", Op::Undo, 1, 1), 200).await;
        assert_eq!(undone.body, json!({ "paymentId": 7 }));
    }
    assert_eq!(balance(&database).await, 0);
    let next = charge(&database, call("s", Op::Do, 2, 1), 201).await;
    assert_eq!(next.status, 201);
    let balance = balance(&database).await;
    assert_eq!(balance, 100, "the next round is another call");
}

async fn h21_an_undo_before_its_do_is_recorded_and_the_late_do_is_refused(url: EngineUrl) {
    let database = service(&url).await;
    let undone = charge(&database, call("s", Op::Undo, 1, 1), 200).await;
    assert_eq!(
        (undone.status, undone.body),
        (200, json!({ "undone": false }))
    );
    let late = charge(&database, call("s", Op::Do, 1, 1), 201).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("cancelled"))
    );
    assert_eq!(balance(&database).await, 0);
}

async fn h21_calls_and_their_cancel_at_once_leave_nothing_behind(url: EngineUrl) {
    let database = service(&url).await;
    for round in 0..20 {
        let calls = (0..6).map(|n| {
            let op = if n % 2 == 0 { Op::Do } else { Op::Undo };
            charge(&database, call("s", op, round, 1), 200)
        });
        join_all(calls).await;
        assert_eq!(balance(&database).await, 0);
    }
}

async fn h13_calls_of_a_superseded_owner_are_refused(url: EngineUrl) {
    let database = service(&url).await;
    charge(&database, call("s", Op::Do, 1, 3), 201).await;
    for (op, round) in [(Op::Do, 1), (Op::Do, 2), (Op::Undo, 1)] {
        let late = charge(&database, call("s", op, round, 2), 200).await;
        assert_eq!(
            (late.status, &late.body["code"]),
            (409, &json!("superseded"))
        );
    }
    let current = charge(&database, call("s", Op::Do, 1, 4), 201).await;
    assert_eq!(current.status, 201);
    assert_eq!(balance(&database).await, 100);
}

async fn a_refusal_is_final_and_a_failure_is_not(url: EngineUrl) {
    let database = service(&url).await;
    let refused = charge(&database, call("s", Op::Do, 1, 1), 409).await;
    let again = charge(&database, call("s", Op::Do, 1, 1), 201).await;
    assert_eq!(refused, again);
    let kept = balance(&database).await;
    assert_eq!(kept, 100, "what was written about the refusal is kept");
    for status in [500, 503, 429, 408] {
        let answer = charge(&database, call("s", Op::Do, 2, 1), status).await;
        assert_eq!(answer.status, status);
    }
    let kept = balance(&database).await;
    assert_eq!(kept, 100, "failures leave nothing behind");
    charge(&database, call("s", Op::Do, 2, 1), 200).await;
    charge(&database, call("s", Op::Undo, 2, 1), 409).await;
    let kept = balance(&database).await;
    assert_eq!(kept, 200, "an undo that did not succeed is made again");
    charge(&database, call("s", Op::Undo, 2, 1), 200).await;
    assert_eq!(balance(&database).await, 100);
}

async fn an_effect_that_fails_leaves_no_record(url: EngineUrl) {
    let database = service(&url).await;
    let failed = database.write(|tx| {
        let planted = barrier::run(tx, &call("s", Op::Do, 1, 1), || {
            book(tx, 100)?;
            Err::<Answer, _>(Error::new(ErrorKind::Internal, "a planted failure"))
        });
        assert!(planted.is_err());
        // A statement that the engine refuses is undone like any other.
        let refused = barrier::run(tx, &call("s", Op::Do, 2, 1), || {
            book(tx, 100)?;
            tx.execute("INSERT INTO nowhere VALUES (1)", ())?;
            Ok::<_, Error>(Answer::new(201, json!(null)))
        });
        assert!(refused.is_err());
        book(tx, 7)
    });
    failed.await.expect("commits what is left");
    assert_eq!(balance(&database).await, 7);
    for round in [1, 2] {
        let answer = charge(&database, call("s", Op::Do, round, 1), 201).await;
        assert_eq!(answer.status, 201);
    }
}

async fn what_is_old_is_forgotten_a_piece_at_a_time(url: EngineUrl) {
    let clock = ManualClock::starting_at(Timestamp::from_micros(5));
    let database = service_at(&url, &clock).await;
    for saga in ["a", "b", "c"] {
        charge(&database, call(saga, Op::Do, 1, 4), 201).await;
    }
    clock.advance(Duration::from_secs(1));
    charge(&database, call("c", Op::Undo, 1, 4), 200).await;
    let before = Timestamp::from_micros(6);
    let forget = |limit| database.write(move |tx| barrier::forget_before(tx, before, limit));
    assert_eq!(forget(2).await.expect("deletes"), 2);
    assert_eq!(forget(2).await.expect("deletes"), 1);
    assert_eq!(forget(2).await.expect("deletes"), 0);
    // The undo is remembered, and so is the epoch of its saga; those of the others are not.
    let late = charge(&database, call("c", Op::Do, 1, 4), 201).await;
    assert_eq!(late.body["code"], json!("cancelled"));
    let earlier = charge(&database, call("c", Op::Do, 2, 3), 201).await;
    assert_eq!(earlier.body["code"], json!("superseded"));
    let forgotten = charge(&database, call("a", Op::Do, 2, 3), 201).await;
    assert_eq!(forgotten.status, 201);
}

pub(crate) async fn order(database: &Database, key: &str, fingerprint: &'static str) -> Outcome {
    let key = key.to_owned();
    let made = database.write(move |tx| {
        idempotency::run(tx, "shop/kim/POST /orders", &key, fingerprint, || {
            book(tx, 1)?;
            Ok::<_, Error>(Answer::new(201, json!({ "orderId": 1 })))
        })
    });
    made.await.expect("answers")
}

async fn h33_of_two_requests_with_one_key_at_once_exactly_one_runs(url: EngineUrl) {
    let database = service(&url).await;
    let outcomes = join_all((0..8).map(|_| order(&database, "key-1", "body-1"))).await;
    let fresh = outcomes
        .iter()
        .filter(|o| matches!(o, Outcome::Fresh(_)))
        .count();
    assert_eq!((fresh, balance(&database).await), (1, 1));
    for outcome in outcomes {
        assert_eq!(
            outcome.into_answer(),
            Answer::new(201, json!({ "orderId": 1 }))
        );
    }
    let reused = order(&database, "key-1", "body-2").await;
    assert_eq!(reused, Outcome::KeyReused);
    assert_eq!(reused.into_answer().status, 422);
    let other = order(&database, "key-2", "body-2").await;
    assert!(matches!(other, Outcome::Fresh(_)));
    assert_eq!(balance(&database).await, 2);
}

async fn h33_a_failure_does_not_use_the_key_up(url: EngineUrl) {
    let database = service(&url).await;
    let request = |status: u16| {
        database.write(move |tx| {
            idempotency::run(tx, "scope", "key", "body", || {
                book(tx, 1)?;
                Ok::<_, Error>(Answer::new(status, json!(null)))
            })
        })
    };
    assert!(matches!(request(503).await, Ok(Outcome::Fresh(answer)) if answer.status == 503));
    assert_eq!(balance(&database).await, 0);
    assert!(matches!(request(201).await, Ok(Outcome::Fresh(answer)) if answer.status == 201));
    assert!(matches!(request(503).await, Ok(Outcome::Replayed(answer)) if answer.status == 201));
    assert_eq!(balance(&database).await, 1);
    let now = Timestamp::from_micros(2_000_000);
    let forget = database.write(move |tx| idempotency::forget_before(tx, now, 10));
    assert_eq!(forget.await.expect("deletes"), 1);
}

async fn a_key_is_found_only_in_its_scope(url: EngineUrl) {
    let database = service(&url).await;
    order(&database, "key", "body").await;
    let find = |scope: &'static str, fingerprint: &'static str| {
        database.read(move |reader| idempotency::find(reader, scope, "key", fingerprint))
    };
    let scope = "shop/kim/POST /orders";
    let known = find(scope, "body").await.expect("reads");
    assert!(matches!(known, Some(Outcome::Replayed(_))), "{known:?}");
    let reused = find(scope, "other").await.expect("reads");
    assert_eq!(reused, Some(Outcome::KeyReused));
    assert_eq!(find("else", "body").await.expect("reads"), None);
}
