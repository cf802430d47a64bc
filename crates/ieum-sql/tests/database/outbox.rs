//! The outbox, and the suite of its port.

use std::time::Duration;

use ieum_base::{EngineUrl, Timestamp};
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Version};
use ieum_messaging::conformance::{Outbox, Report, outbox_names, run_outbox};
use ieum_messaging::{Message, OutboxStore};
use ieum_sql::{Database, Error, ErrorKind, outbox, streams};
#[cfg(feature = "postgres")]
use ieum_testkit::conformance::record;
use serde_json::json;

use crate::fixture::{LONG, balance, book, both, number, service};

both![
    a_message_is_sent_if_and_only_if_its_transaction_commits,
    h29_a_row_is_sent_once_or_marked_and_kept,
    a_row_is_set_aside_whatever_the_reason_holds,
    a_waiting_relay_is_woken_by_a_commit,
    what_no_engine_would_take_is_refused_to_its_writer,
];

pub(crate) fn message(id: &str) -> Message {
    Message::new("/orders", id, "order.placed", &json!({ "total": 200 })).expect("a message")
}

pub(crate) async fn publish(database: &Database, message: Message) -> Result<i64, Error> {
    let published = database.write(move |tx| outbox::publish(tx, "order.events", &message));
    published.await
}

async fn a_message_is_sent_if_and_only_if_its_transaction_commits(url: EngineUrl) {
    let database = service(&url).await;
    let place = |id: &'static str, is_kept: bool| {
        database.write(move |tx| {
            book(tx, 1)?;
            let row = outbox::publish(tx, "order.events", &message(id))?;
            let events = vec![NewEvent::new(tx.new_id(), "OrderCreated", &1).expect("an event")];
            let stream: StreamName = format!("order-{id}").parse().expect("a name");
            let append = Append::to(stream, Expect::NoStream, events);
            let appended = streams::append_in(tx, &append);
            appended.map_err(|_| Error::new(ErrorKind::Invalid, "exists"))?;
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
    let pending = database.outbox().pending(10).await.expect("reads");
    let ids: Vec<_> = pending.iter().map(|row| &*row.message.id).collect();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(balance(&database).await, 2);
    let stream: StreamName = "order-1".parse().expect("a name");
    let read = database.read(move |reader| streams::read_in(reader, &stream, Version(0), 9));
    assert_eq!(read.await.expect("reads").len(), 1);
    let head = database.log().head().await.expect("a head");
    assert_eq!(head.position.0, 2);
}

async fn h29_a_row_is_sent_once_or_marked_and_kept(url: EngineUrl) {
    let database = service(&url).await;
    let store = database.outbox();
    for id in ["1", "2", "3"] {
        publish(&database, message(id)).await.expect("publishes");
    }
    let nonsense = database.write(|tx| {
        let sql = "INSERT INTO ieum_outbox (topic, message, created_at) VALUES ('t', '{}', 0)";
        tx.execute(sql, ())
    });
    nonsense.await.expect("inserts");
    let rows = store.pending(10).await.expect("reads");
    assert_eq!(rows.len(), 3);
    let marked = store.mark_sent(&[rows[0].id, rows[0].id]).await;
    marked.expect("marks");
    let set_aside = store.mark_unsendable(rows[1].id, "too large").await;
    set_aside.expect("marks");
    let left = store.pending(10).await.expect("reads");
    assert_eq!(
        left.iter().map(|row| row.id).collect::<Vec<_>>(),
        [rows[2].id]
    );
    let besides = store
        .pending_besides(&["order.events".to_owned()], 10)
        .await;
    assert_eq!(besides.expect("reads").len(), 0);
    let unsendable = store.unsendable(10).await.expect("reads");
    assert_eq!(unsendable.len(), 1);
    assert_eq!(
        (unsendable[0].0.id, &*unsendable[0].1),
        (rows[1].id, "too large")
    );
    let kept = number(&database, "SELECT count(*) FROM ieum_outbox").await;
    assert_eq!(kept, 4, "nothing is deleted unless asked");
    let before = Timestamp::from_micros(2_000_000);
    assert_eq!(store.forget_sent(before, 10).await.expect("deletes"), 1);
    assert_eq!(store.forget_sent(before, 10).await.expect("deletes"), 0);
}

async fn a_waiting_relay_is_woken_by_a_commit(url: EngineUrl) {
    let database = service(&url).await;
    let store = database.outbox();
    assert_eq!(store.pending(1).await.expect("reads").len(), 0);
    let begun = tokio::time::Instant::now();
    let published = publish(&database, message("1"));
    let ((), published) = futures_util::join!(store.changed(LONG), published);
    published.expect("publishes");
    // And at once if a row is there already.
    store.changed(LONG).await;
    assert!(begun.elapsed() < LONG / 2);
    let short = Duration::from_millis(1);
    let rows = store.pending(1).await.expect("reads");
    store.mark_sent(&[rows[0].id]).await.expect("marks");
    store.changed(short).await;
}

async fn what_no_engine_would_take_is_refused_to_its_writer(url: EngineUrl) {
    let database = service(&url).await;
    for (topic, id) in [("order-events", "1"), ("order.events", "")] {
        let refused = database.write(move |tx| outbox::publish(tx, topic, &message(id)));
        let error = refused.await.expect_err("must be refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

async fn suite(fresh: impl Fn() -> EngineUrl) -> Report {
    let report = run_outbox(async || {
        let database = service(&fresh()).await;
        Outbox {
            store: database.outbox(),
            add: Box::new(move |topic, message| {
                let database = database.clone();
                Box::pin(async move {
                    let added = database.write(move |tx| outbox::publish(tx, &topic, &message));
                    added.await.expect("publishes");
                })
            }),
        }
    });
    let report = report.await;
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, outbox_names());
    report
}

#[tokio::test]
async fn the_outbox_keeps_the_promises_of_its_port_in_sqlite() {
    suite(crate::fixture::sqlite).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn the_outbox_keeps_the_promises_of_its_port_in_postgres() {
    let report = suite(crate::fixture::postgres).await;
    record("outbox", "PostgreSQL", &report.passed, &report.failed, &[]);
}

async fn a_row_is_set_aside_whatever_the_reason_holds(url: EngineUrl) {
    let database = service(&url).await;
    let id = publish(&database, message("1")).await.expect("published");
    let outbox = database.outbox();
    let set_aside = outbox.mark_unsendable(id, "refused: `\0` is no key");
    set_aside.await.expect("is set aside");
    assert!(outbox.pending(9).await.expect("reads").is_empty());
}
