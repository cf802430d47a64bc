//! The tables of a service's own database: outbox, inbox, barrier, idempotency.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{ManualClock, Timestamp};
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Version};
use ieum_messaging::{Message, OutboxStore};
use ieum_sql::sqlite::barrier::{self, Call, Op};
use ieum_sql::sqlite::idempotency::{self, Outcome};
use ieum_sql::sqlite::{Answer, Config, Database, Location, Migration, Tx, inbox, log, outbox};
use ieum_sql::{Error, ErrorKind};
use serde_json::json;

const LEDGER: &[Migration] = &[Migration {
    component: "ledger",
    version: 1,
    sql: "CREATE TABLE ledger (amount INTEGER NOT NULL) STRICT",
}];

fn service_at(clock: &ManualClock) -> Database {
    let migrations = [
        log::MIGRATIONS,
        outbox::MIGRATIONS,
        inbox::MIGRATIONS,
        barrier::MIGRATIONS,
        idempotency::MIGRATIONS,
        LEDGER,
    ]
    .concat();
    let config = Config {
        clock: clock.clock(),
        ..Config::default()
    };
    Database::open_with(Location::Memory, &migrations, config).expect("opens")
}

fn service() -> Database {
    service_at(&ManualClock::starting_at(Timestamp::from_micros(1_000_000)))
}

fn book(tx: &Tx<'_>, amount: i64) -> Result<(), Error> {
    tx.execute("INSERT INTO ledger (amount) VALUES (?1)", [amount])?;
    Ok(())
}

async fn balance(database: &Database) -> i64 {
    let read = database.read(|connection| {
        let sum = "SELECT coalesce(sum(amount), 0) FROM ledger";
        Ok::<_, Error>(connection.query_row(sum, [], |row| row.get(0))?)
    });
    read.await.expect("reads")
}

fn message(id: &str) -> Message {
    Message::new("/orders", id, "order.placed", &json!({ "total": 200 })).expect("a message")
}

#[tokio::test]
async fn a_message_is_sent_if_and_only_if_its_transaction_commits() {
    let database = service();
    let store = outbox::Store::new(database.clone());
    let place = |id: &'static str, is_kept: bool| {
        database.write(move |tx| {
            book(tx, 1)?;
            let row = outbox::publish(tx, "order.events", &message(id))?;
            let events = vec![NewEvent::new(tx.new_id(), "OrderCreated", &1).expect("an event")];
            let stream: StreamName = format!("order-{id}").parse().expect("a name");
            let append = Append::to(stream, Expect::NoStream, events);
            log::append_in(tx, &append).map_err(|_| Error::new(ErrorKind::Invalid, "exists"))?;
            if is_kept {
                Ok(row)
            } else {
                Err(Error::new(ErrorKind::Invalid, "no"))
            }
        })
    };
    place("1", true).await.expect("placed");
    place("2", false).await.expect_err("refused");
    place("1", true).await.expect_err("the stream exists");
    place("3", true).await.expect("placed");
    let pending = store.pending(10).await.expect("reads");
    let ids: Vec<_> = pending.iter().map(|row| &*row.message.id).collect();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(balance(&database).await, 2);
    let stream: StreamName = "order-1".parse().expect("a name");
    let read = database.read(move |connection| log::read_in(connection, &stream, Version(0), 9));
    assert_eq!(read.await.expect("reads").len(), 1);
}

#[tokio::test]
async fn h29_a_row_is_sent_once_or_marked_and_kept() {
    let database = service();
    let store = outbox::Store::new(database.clone());
    for id in ["1", "2", "3"] {
        let published = database.write(move |tx| outbox::publish(tx, "order.events", &message(id)));
        published.await.expect("publishes");
    }
    let nonsense = database.write(|tx| {
        let sql = "INSERT INTO ieum_outbox (topic, message, created_at) VALUES ('t', '{}', 0)";
        Ok::<_, Error>(tx.execute(sql, [])?)
    });
    nonsense.await.expect("inserts");
    let rows = store.pending(10).await.expect("reads");
    assert_eq!(rows.len(), 3);
    store
        .mark_sent(&[rows[0].id, rows[0].id])
        .await
        .expect("marks");
    store
        .mark_unsendable(rows[1].id, "too large")
        .await
        .expect("marks");
    let left = store.pending(10).await.expect("reads");
    assert_eq!(
        left.iter().map(|row| row.id).collect::<Vec<_>>(),
        [rows[2].id]
    );
    let unsendable = store.unsendable(10).await.expect("reads");
    assert_eq!(unsendable.len(), 1);
    assert_eq!(
        (unsendable[0].0.id, &*unsendable[0].1),
        (rows[1].id, "too large")
    );
    let kept = database.read(|connection| {
        let count = connection.query_row("SELECT count(*) FROM ieum_outbox", [], |r| r.get(0))?;
        Ok::<u32, Error>(count)
    });
    assert_eq!(
        kept.await.expect("reads"),
        4,
        "nothing is deleted unless asked"
    );
    let forgotten = store
        .forget_sent(Timestamp::from_micros(2_000_000), 10)
        .await;
    assert_eq!(forgotten.expect("deletes"), 1);
}

#[tokio::test]
async fn a_waiting_relay_is_woken_by_a_commit() {
    let database = service();
    let store = outbox::Store::new(database.clone());
    let begun = tokio::time::Instant::now();
    let publish = database.write(|tx| outbox::publish(tx, "order.events", &message("1")));
    let ((), published) = futures_util::join!(store.changed(Duration::from_secs(60)), publish);
    published.expect("publishes");
    // And at once if a row is there already.
    store.changed(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_no_engine_would_take_is_refused_to_its_writer() {
    let database = service();
    for (topic, id) in [("order-events", "1"), ("order.events", "")] {
        let refused = database.write(move |tx| outbox::publish(tx, topic, &message(id)));
        let error = refused.await.expect_err("must be refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_message_delivered_twice_has_its_effect_once() {
    let clock = ManualClock::starting_at(Timestamp::from_micros(5));
    let database = service_at(&clock);
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

fn call(op: Op, round: u32, epoch: u64) -> Call {
    Call {
        saga: "saga-1".into(),
        step: "charge-payment".into(),
        round,
        epoch,
        op,
    }
}

/// Makes a call whose effect books 100, or −100 to undo it, and answers `status`.
async fn charge(database: &Database, call: Call, status: u16) -> Answer {
    let made = database.write(move |tx| {
        barrier::run(tx, &call, || {
            book(tx, if call.op == Op::Do { 100 } else { -100 })?;
            Ok::<_, Error>(Answer::new(status, json!({ "paymentId": 7 })))
        })
    });
    made.await.expect("answers")
}

#[tokio::test]
async fn h20_a_call_whose_answer_was_lost_is_answered_again_and_done_once() {
    let database = service();
    let first = charge(&database, call(Op::Do, 1, 1), 201).await;
    let again = charge(&database, call(Op::Do, 1, 1), 201).await;
    assert_eq!((&first, first.status), (&again, 201));
    assert_eq!(balance(&database).await, 100);
    for _ in 0..2 {
        let undone = charge(&database, call(Op::Undo, 1, 1), 200).await;
        assert_eq!(undone.body, json!({ "paymentId": 7 }));
    }
    assert_eq!(balance(&database).await, 0);
    assert_eq!(charge(&database, call(Op::Do, 2, 1), 201).await.status, 201);
    assert_eq!(
        balance(&database).await,
        100,
        "the next round is another call"
    );
}

#[tokio::test]
async fn h21_an_undo_before_its_do_is_recorded_and_the_late_do_is_refused() {
    let database = service();
    let undone = charge(&database, call(Op::Undo, 1, 1), 200).await;
    assert_eq!(
        (undone.status, undone.body),
        (200, json!({ "undone": false }))
    );
    let late = charge(&database, call(Op::Do, 1, 1), 201).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("cancelled"))
    );
    assert_eq!(balance(&database).await, 0);
}

#[tokio::test]
async fn h21_calls_and_their_cancel_at_once_leave_nothing_behind() {
    for _ in 0..20 {
        let database = service();
        let calls = (0..6).map(|n| {
            let op = if n % 2 == 0 { Op::Do } else { Op::Undo };
            charge(&database, call(op, 1, 1), 200)
        });
        join_all(calls).await;
        assert_eq!(balance(&database).await, 0);
    }
}

#[tokio::test]
async fn h13_calls_of_a_superseded_owner_are_refused() {
    let database = service();
    charge(&database, call(Op::Do, 1, 3), 201).await;
    for (op, round) in [(Op::Do, 1), (Op::Do, 2), (Op::Undo, 1)] {
        let late = charge(&database, call(op, round, 2), 200).await;
        assert_eq!(
            (late.status, &late.body["code"]),
            (409, &json!("superseded"))
        );
    }
    assert_eq!(charge(&database, call(Op::Do, 1, 4), 201).await.status, 201);
    assert_eq!(balance(&database).await, 100);
}

#[tokio::test]
async fn a_refusal_is_final_and_a_failure_is_not() {
    let database = service();
    let refused = charge(&database, call(Op::Do, 1, 1), 409).await;
    assert_eq!(refused, charge(&database, call(Op::Do, 1, 1), 201).await);
    assert_eq!(
        balance(&database).await,
        100,
        "what a refusal wrote about it is kept"
    );
    let nothing = charge(&database, call(Op::Undo, 1, 1), 200).await;
    assert_eq!(nothing.body, json!({ "undone": false }));
    for status in [408, 429, 500, 503] {
        assert_eq!(
            charge(&database, call(Op::Do, 2, 1), status).await.status,
            status
        );
    }
    assert_eq!(
        balance(&database).await,
        100,
        "failures leave nothing behind"
    );
    charge(&database, call(Op::Do, 2, 1), 200).await;
    charge(&database, call(Op::Undo, 2, 1), 409).await;
    assert_eq!(
        balance(&database).await,
        200,
        "an undo that did not succeed is made again"
    );
    charge(&database, call(Op::Undo, 2, 1), 200).await;
    assert_eq!(balance(&database).await, 100);
}

#[tokio::test]
async fn an_effect_that_fails_leaves_no_record() {
    let database = service();
    let failed = database.write(|tx| {
        let outcome = barrier::run(tx, &call(Op::Do, 1, 1), || {
            book(tx, 100)?;
            Err::<Answer, _>(Error::new(ErrorKind::Internal, "a planted failure"))
        });
        assert!(outcome.is_err());
        Ok::<_, Error>(())
    });
    failed.await.expect("commits what is left");
    assert_eq!(balance(&database).await, 0);
    assert_eq!(charge(&database, call(Op::Do, 1, 1), 201).await.status, 201);
}

async fn order(database: &Database, key: &'static str, fingerprint: &'static str) -> Outcome {
    let made = database.write(move |tx| {
        idempotency::run(tx, "shop/kim/POST /orders", key, fingerprint, || {
            book(tx, 1)?;
            Ok::<_, Error>(Answer::new(201, json!({ "orderId": 1 })))
        })
    });
    made.await.expect("answers")
}

#[tokio::test]
async fn h33_of_two_requests_with_one_key_at_once_exactly_one_runs() {
    let database = service();
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
    assert!(matches!(
        order(&database, "key-2", "body-2").await,
        Outcome::Fresh(_)
    ));
    assert_eq!(balance(&database).await, 2);
}

#[tokio::test]
async fn h33_a_failure_does_not_use_the_key_up() {
    let database = service();
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
