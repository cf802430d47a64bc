//! What a group stores, beyond what the suites ask for.

use std::time::Duration;

use ieum_messaging::{DeadLetterFilter, DeadLetterReason, Groups, Inspect, Message, Publisher};
use ieum_sql::postgres::topics::Config;

use super::fixture::topics;

const TOPIC: &str = "order.events";

#[tokio::test]
async fn a_reason_with_a_nul_keeps_no_message_from_being_set_aside() {
    let topics = topics(Config::default()).await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let message = Message::new("/orders", "1", "order.placed", &1).expect("a message");
    topics.publish(TOPIC, &[message]).await.expect("publishes");
    let pulled = topics.pull(TOPIC, "mail", epoch, 1, Duration::ZERO).await;
    let poison = pulled.expect("pulls")[0].position;
    let reason = "unexpected `\0` in `name`";
    let set_aside = topics.dead_letter(TOPIC, "mail", epoch, poison, reason);
    set_aside.await.expect("is set aside");
    let letters = topics.dead_letters(&DeadLetterFilter::default(), 9).await;
    let letters = letters.expect("lists");
    let kept = DeadLetterReason::GaveUp(reason.replace('\0', "\u{FFFD}"));
    assert_eq!(letters[0].reason, kept);
}

#[tokio::test]
async fn h28_a_group_waits_for_the_disk_and_for_standbys_as_the_server_was_told() {
    let topics = topics(Config::default()).await;
    topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let mut client = topics.log().pool().get().await.expect("a connection");
    for call in [
        "SELECT ieum_note_topic('other.events', 9)",
        "SELECT ieum_group_join('order.events', 'mail', 'm1', 0, 0, 9)",
        "SELECT ieum_group_advance('order.events', 'mail', 1, 0, 9, 0)",
        "SELECT ieum_group_seek('order.events', 'mail', 0)",
        "SELECT ieum_group_release('order.events', 'mail', 'k', true)",
    ] {
        for (set, forced) in [("off", "on"), ("remote_apply", "remote_apply")] {
            let tx = client.transaction().await.expect("begins");
            let weaken = format!("SET LOCAL synchronous_commit = {set}");
            tx.batch_execute(&weaken).await.expect("sets");
            tx.batch_execute(call).await.expect("calls");
            let row = tx.query_one("SHOW synchronous_commit", &[]).await;
            let in_force: String = row.expect("shows").get(0);
            assert_eq!(in_force, forced, "{call} with {set}");
        }
    }
}
