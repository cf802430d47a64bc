//! A log that is dumped and restored into another cluster, whose transaction ids begin anew.

use std::time::Duration;

use ieum_base::EngineUrl;
use ieum_eventstore::{Checkpoint, Checkpoints, ErrorKind, EventStore, Filter, Head, Position};
use ieum_messaging::{Groups, Message, Publisher};
use ieum_sql::postgres::{self, Log, Topics, log, topics};
use ieum_testkit::engines::Postgres;
use serde_json::json;

use super::server;

const TOPIC: &str = "order.events";

async fn open(url: &str) -> Topics {
    let url: EngineUrl = url.parse().expect("a URL");
    let pool = postgres::Config::default();
    let log = Log::open(&url, topics::MIGRATIONS, pool, log::Config::default()).await;
    Topics::new(log.expect("a log"), topics::Config::default())
}

async fn publish(topics: &Topics, ids: std::ops::Range<u32>) {
    for id in ids {
        let message = Message::new(
            "/orders",
            id.to_string(),
            "order.placed",
            &json!({ "id": id }),
        );
        let message = message.expect("a message").with_key("k");
        topics.publish(TOPIC, &[message]).await.expect("publishes");
    }
}

/// `from` as pg_dump writes it down, in a new database of `to`.
fn copy(from: &Postgres, database: &str, to: &Postgres) -> String {
    let dump = from
        .tool("pg_dump", &["--no-owner"], database)
        .expect("a dump");
    let file = to.server().folder().join("dump.sql");
    std::fs::write(&file, dump).expect("written");
    let url = to.database("restored").expect("a database");
    let place = file.display().to_string();
    to.tool(
        "psql",
        &["-Xq", "-v", "ON_ERROR_STOP=1", "-f", &place],
        "restored",
    )
    .expect("restored");
    url
}

async fn ids_after(topics: &Topics, after: Position) -> Vec<u64> {
    let page = topics
        .log()
        .read_all(after, &Filter::category(TOPIC), 100)
        .await;
    let events = page.expect("reads").events;
    events.iter().map(|event| event.position.0).collect()
}

#[tokio::test]
async fn h04_a_restored_dump_refuses_old_checkpoints_or_goes_on_with_them_and_never_skips() {
    let name = server::database().1;
    let before = open(&server::shared().url(&name)).await;
    publish(&before, 0..5).await;
    let Head { incarnation, .. } = before.log().head().await.expect("a head");
    let at = |position| Checkpoint {
        incarnation,
        position: Position(position),
    };
    let stored = before.log().store("view", None, at(3)).await;
    stored.expect("stored");
    let epoch = before.join(TOPIC, "mail", "m1").await.expect("joins");
    before.ack(TOPIC, "mail", epoch, 3).await.expect("acks");

    let fresh = Postgres::start().expect("another cluster");
    let after = open(&copy(server::shared(), &name, &fresh)).await;
    let head = after.log().head().await.expect("a head");
    assert_eq!(head.position, Position(5));
    assert_ne!(head.incarnation, incarnation, "a copy is another log");
    // Events that the old log got meanwhile are not in the copy: whoever read them is told.
    let refused = after.log().load("view").await.expect_err("foreign");
    assert_eq!(*refused.kind(), ErrorKind::ForeignCheckpoint);
    let pulled = after.pull(TOPIC, "mail", epoch, 9, Duration::ZERO).await;
    let refused = pulled.expect_err("foreign");
    assert_eq!(refused.kind(), ieum_messaging::ErrorKind::Invalid);

    // The operator knows that nothing is missing: everybody goes on where they were.
    let kept = after.log().keep_incarnation().await.expect("kept");
    assert_eq!(kept.incarnation, incarnation);
    let goes_on = after.log().load("view").await.expect("known");
    assert_eq!(goes_on, Some(at(3)));
    publish(&after, 5..7).await;
    assert_eq!(ids_after(&after, Position(3)).await, [4, 5, 6, 7]);
    let pulled = after.pull(TOPIC, "mail", epoch, 9, Duration::ZERO).await;
    let positions: Vec<u64> = pulled.expect("pulls").iter().map(|d| d.position).collect();
    assert_eq!(positions, [4, 5, 6, 7]);
    // Opened once more, it is still the same log.
    let again = open(&fresh.url("restored")).await;
    assert_eq!(
        again.log().head().await.expect("a head").incarnation,
        incarnation
    );
}

#[tokio::test]
async fn h35_a_backup_that_is_older_than_a_checkpoint_is_an_error_and_no_silent_skip() {
    let name = server::database().1;
    let before = open(&server::shared().url(&name)).await;
    publish(&before, 0..3).await;
    let fresh = Postgres::start().expect("another cluster");
    let url = copy(server::shared(), &name, &fresh);
    publish(&before, 3..6).await;
    let head = before.log().head().await.expect("a head");
    let checkpoint = head.checkpoint(head.position);

    let after = open(&url).await;
    after.log().keep_incarnation().await.expect("kept, wrongly");
    let beyond = after
        .log()
        .read_all(checkpoint.position, &Filter::default(), 1)
        .await;
    assert_eq!(
        *beyond.expect_err("beyond").kind(),
        ErrorKind::ForeignCheckpoint
    );
    let wait = after.log().wait(checkpoint.position, Duration::ZERO).await;
    assert_eq!(
        *wait.expect_err("beyond").kind(),
        ErrorKind::ForeignCheckpoint
    );
    let stored = after.log().store("view", None, checkpoint).await;
    assert_eq!(
        *stored.expect_err("beyond").kind(),
        ErrorKind::ForeignCheckpoint
    );
}
