//! Topics and consumer groups over the log.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_eventstore::Position;
use ieum_messaging::{
    DeadLetterFilter, DeadLetterReason, Delivery, Epoch, ErrorKind, Groups, Inspect, Message,
    Operate, Publisher, Result,
};
use ieum_sql::postgres::Topics;
use ieum_sql::postgres::topics::Config as TopicsConfig;
use serde_json::json;
use tokio::time::Instant;

use super::fixture::{self, Room};

const TOPIC: &str = "order.events";
const NOW: Duration = Duration::ZERO;

async fn topics_with(config: TopicsConfig) -> Room {
    fixture::topics(config).await
}

async fn topics() -> Room {
    topics_with(TopicsConfig::default()).await
}

fn message(id: usize, key: &str) -> Message {
    Message::new(
        "/orders",
        id.to_string(),
        "order.placed",
        &json!({ "id": id }),
    )
    .expect("a message")
    .with_key(key)
    .with_extension("flow", "orchestrated")
}

async fn publish(topics: &Topics, messages: &[Message]) {
    topics.publish(TOPIC, messages).await.expect("publishes");
}

async fn pull(topics: &Topics, epoch: Epoch, max: usize) -> Vec<Delivery> {
    let pulled = topics.pull(TOPIC, "mail", epoch, max, NOW).await;
    pulled.expect("pulls")
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|delivery| &*delivery.message.id)
        .collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> ErrorKind {
    outcome.expect_err("must be refused").kind()
}

#[tokio::test]
async fn what_is_published_is_delivered_in_order_until_it_is_acknowledged() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let batch: Vec<_> = (0..5).map(|n| message(n, "k")).collect();
    publish(&topics, &batch).await;
    let first = pull(&topics, epoch, 3).await;
    assert_eq!(ids(&first), ["0", "1", "2"]);
    assert_eq!(first[0].message.extension("flow"), Some("orchestrated"));
    assert_eq!(
        ids(&pull(&topics, epoch, 3).await),
        ["0", "1", "2"],
        "not acknowledged"
    );
    topics
        .ack(TOPIC, "mail", epoch, first[1].position)
        .await
        .expect("acks");
    topics
        .ack(TOPIC, "mail", epoch, first[0].position)
        .await
        .expect("acks");
    assert_eq!(
        ids(&pull(&topics, epoch, 9).await),
        ["2", "3", "4"],
        "never back"
    );
    assert!(pull(&topics, epoch, 0).await.is_empty());
    let beyond = topics.ack(TOPIC, "mail", epoch, 99).await;
    assert_eq!(refused(beyond), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_message_published_twice_is_one() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    publish(&topics, &[message(1, "a"), message(2, "b")]).await;
    // A relay that crashed before it marked its rows sends some of them again.
    publish(
        &topics,
        &[message(2, "b"), message(3, "a"), message(3, "a")],
    )
    .await;
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["1", "2", "3"]);
    let mut other_type = message(1, "a");
    other_type.kind = "order.cancelled".into();
    let same_batch = [message(4, "a"), {
        let mut m = message(4, "a");
        m.kind = "x".into();
        m
    }];
    let cases = [
        topics.publish(TOPIC, &[message(9, "a"), other_type]).await,
        topics.publish("user.events", &[message(1, "a")]).await,
        topics.publish(TOPIC, &same_batch).await,
        topics.publish("order-events", &[message(5, "a")]).await,
    ];
    for outcome in cases {
        assert_eq!(refused(outcome), ErrorKind::Invalid);
    }
    assert_eq!(pull(&topics, epoch, 9).await.len(), 3, "all or none");
}

#[tokio::test]
async fn publishers_at_once_keep_the_order_of_each_key() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let publishers = (0..4).map(|p| {
        let topics = topics.clone();
        async move {
            for n in 0..10 {
                publish(&topics, &[message(100 * p + n, &format!("k{p}"))]).await;
            }
        }
    });
    join_all(publishers).await;
    let all = pull(&topics, epoch, 100).await;
    assert_eq!(all.len(), 40);
    for p in 0..4 {
        let key = format!("k{p}");
        let of_key = all.iter().filter(|d| d.message.key.as_ref() == Some(&key));
        let numbers: Vec<usize> = of_key
            .map(|d| d.message.id.parse().expect("a number"))
            .collect();
        assert!(numbers.is_sorted() && numbers.len() == 10);
    }
}

#[tokio::test]
async fn h13_a_worker_that_was_superseded_can_do_nothing() {
    let topics = topics().await;
    publish(&topics, &[message(1, "a"), message(2, "a")]).await;
    let zombie = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let position = pull(&topics, zombie, 1).await[0].position;
    let successor = topics
        .join(TOPIC, "mail", "m1")
        .await
        .expect("the same name, at once");
    assert!(successor > zombie);
    let late = [
        topics.ack(TOPIC, "mail", zombie, position).await,
        topics
            .dead_letter(TOPIC, "mail", zombie, position, "x")
            .await,
        topics.pull(TOPIC, "mail", zombie, 1, NOW).await.map(drop),
        topics.ack(TOPIC, "nobody", zombie, position).await,
    ];
    for outcome in late {
        assert_eq!(refused(outcome), ErrorKind::Superseded);
    }
    assert_eq!(ids(&pull(&topics, successor, 9).await), ["1", "2"]);
}

#[tokio::test]
async fn another_member_waits_for_the_lease() {
    // Long enough for a renewal on a machine that is busy with other tests.
    let lease = Duration::from_millis(1_500);
    let topics = topics_with(TopicsConfig {
        lease,
        ..TopicsConfig::default()
    })
    .await;
    let first = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(
        refused(topics.join(TOPIC, "mail", "m2").await),
        ErrorKind::Busy
    );
    // A long poll keeps the lease alive.
    let begun = Instant::now();
    let (pulled, ()) =
        futures_util::join!(topics.pull(TOPIC, "mail", first, 1, lease * 3), async {
            while begun.elapsed() < lease * 2 {
                let outcome = topics.join(TOPIC, "mail", "m2").await;
                assert_eq!(refused(outcome), ErrorKind::Busy);
                tokio::task::yield_now().await;
            }
        });
    assert!(pulled.expect("pulls").is_empty());
    let second = loop {
        match topics.join(TOPIC, "mail", "m2").await {
            Ok(epoch) => break epoch,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
        }
    };
    assert!(second > first && begun.elapsed() >= lease * 3);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_message() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    for n in 1..=3 {
        let begun = Instant::now();
        let batch = [message(n, "a")];
        let wait = Duration::from_secs(60);
        let (pulled, ()) = futures_util::join!(
            topics.pull(TOPIC, "mail", epoch, 9, wait),
            publish(&topics, &batch),
        );
        let pulled = pulled.expect("pulls");
        assert_eq!(ids(&pulled), [n.to_string()]);
        // Woken, not found by the bounded poll behind it.
        assert!(begun.elapsed() < Duration::from_secs(2));
        topics
            .ack(TOPIC, "mail", epoch, pulled[0].position)
            .await
            .expect("acks");
    }
}

#[tokio::test]
async fn h30_only_the_key_of_a_poisoned_message_waits() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let keys = ["bad", "good", "bad", "good", "bad"];
    let batch: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| message(n, key))
        .collect();
    publish(&topics, &batch).await;
    let first = pull(&topics, epoch, 1).await[0].position;
    let given_up = topics
        .dead_letter(TOPIC, "mail", epoch, first, "cannot be read")
        .await;
    given_up.expect("gives up");
    let rest = pull(&topics, epoch, 9).await;
    assert_eq!(ids(&rest), ["1", "3"]);
    topics
        .ack(TOPIC, "mail", epoch, rest[1].position)
        .await
        .expect("acks");
    assert!(
        pull(&topics, epoch, 9).await.is_empty(),
        "the last one is parked"
    );
    let other = topics.join(TOPIC, "analytics", "m1").await.expect("joins");
    let all = topics
        .pull(TOPIC, "analytics", other, 9, NOW)
        .await
        .expect("pulls");
    assert_eq!(all.len(), 5, "another group is not concerned");
    let check = async |topics: &Topics| {
        let filter = DeadLetterFilter {
            group: Some("mail".into()),
            ..DeadLetterFilter::default()
        };
        let letters = topics.dead_letters(&filter, 10).await.expect("lists");
        let seen: Vec<_> = letters
            .iter()
            .map(|l| (&*l.message.id, l.reason.clone()))
            .collect();
        let gave_up = DeadLetterReason::GaveUp("cannot be read".into());
        let behind = DeadLetterReason::Behind(first);
        assert_eq!(seen, [("0", gave_up), ("2", behind.clone()), ("4", behind)]);
        assert_eq!((&*letters[0].key, &*letters[0].topic), ("bad", TOPIC));
        let groups = topics.groups().await.expect("lists");
        let states: Vec<_> = groups
            .iter()
            .map(|g| (&*g.group, g.lag, g.dead_letters))
            .collect();
        assert_eq!(states, [("analytics", 5, 0), ("mail", 0, 3)]);
        let known = topics.topics().await.expect("lists");
        assert_eq!(
            (&*known[0].topic, known[0].messages, known.len()),
            (TOPIC, 5, 1)
        );
    };
    check(&topics).await;
    // Another process on the same database sees the same.
    let topics = topics.again().await;
    check(&topics).await;
    let late = topics.pull(TOPIC, "mail", epoch, 9, NOW).await;
    assert!(late.expect("a term outlives a restart").is_empty());
}

#[tokio::test]
async fn a_full_parked_table_stops_the_group() {
    let topics = topics_with(TopicsConfig {
        parked: 2,
        ..TopicsConfig::default()
    })
    .await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let keys = ["bad", "bad", "bad", "good"];
    let batch: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| message(n, key))
        .collect();
    publish(&topics, &batch).await;
    let first = pull(&topics, epoch, 1).await[0].position;
    topics
        .dead_letter(TOPIC, "mail", epoch, first, "x")
        .await
        .expect("gives up");
    let full = topics.pull(TOPIC, "mail", epoch, 9, NOW).await;
    let error = full.expect_err("the third does not fit");
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("limit"), "{error}");
    let letters = topics
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .expect("lists");
    assert_eq!(letters.len(), 1, "all or nothing");
}

#[tokio::test]
async fn h35_a_group_of_another_incarnation_is_told_and_can_be_set_anew() {
    let topics = topics().await;
    publish(&topics, &[message(1, "a"), message(2, "a")]).await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    topics.log().begin_incarnation().await.expect("begins");
    let outcome = topics.pull(TOPIC, "mail", epoch, 9, NOW).await;
    let error = outcome.expect_err("foreign");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("incarnation"), "{error}");
    let beyond = topics.seek(TOPIC, "mail", Position(3)).await;
    assert_eq!(refused(beyond), ErrorKind::Invalid);
    topics
        .seek(TOPIC, "mail", Position(1))
        .await
        .expect("seeks");
    let late = topics.pull(TOPIC, "mail", epoch, 9, NOW).await;
    assert_eq!(refused(late), ErrorKind::Superseded);
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["2"]);
}

#[tokio::test]
async fn an_operator_lets_a_parked_key_go_on() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    publish(&topics, &[message(1, "a b"), message(2, "a b")]).await;
    let first = pull(&topics, epoch, 1).await[0].position;
    let given_up = topics.dead_letter(TOPIC, "mail", epoch, first, "x").await;
    given_up.expect("gives up");
    assert!(pull(&topics, epoch, 9).await.is_empty());
    let forgotten = topics.forget_dead_letters(TOPIC, "mail", "a b").await;
    assert_eq!(forgotten.expect("forgets"), 2);
    publish(&topics, &[message(3, "a b")]).await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["3"]);
    topics
        .seek(TOPIC, "mail", Position(first - 1))
        .await
        .expect("seeks");
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["1", "2", "3"]);
}

#[tokio::test]
async fn h11_a_replay_goes_back_to_the_first_dead_letter_of_the_key_and_a_skip_does_not() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let batch =
        [(1, "b"), (2, "a"), (3, "b"), (4, "a"), (5, "c")].map(|(id, key)| message(id, key));
    publish(&topics, &batch).await;
    let all = pull(&topics, epoch, 9).await;
    for at in [0, 1] {
        let given_up = topics.dead_letter(TOPIC, "mail", epoch, all[at].position, "x");
        given_up.await.expect("gives up");
    }
    let end = all[4].position;
    topics.ack(TOPIC, "mail", epoch, end).await.expect("acks");
    assert_eq!(topics.replay(TOPIC, "mail", "c").await.expect("nothing"), 0);
    let still = topics.ack(TOPIC, "mail", epoch, end).await;
    still.expect("nothing happened: the term goes on");
    assert_eq!(topics.replay(TOPIC, "mail", "a").await.expect("replays"), 2);
    let late = topics.ack(TOPIC, "mail", epoch, end).await;
    assert_eq!(refused(late), ErrorKind::Superseded);
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    // What waits on the other key still waits.
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["2", "4", "5"]);
    topics.ack(TOPIC, "mail", epoch, end).await.expect("acks");
    assert_eq!(topics.skip(TOPIC, "mail", "b").await.expect("skips"), 2);
    publish(&topics, &[message(6, "b")]).await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["6"]);
}

#[tokio::test]
async fn a_key_that_goes_on_while_a_worker_passed_it_over_loses_nothing() {
    let topics = topics().await;
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    let batch = [(1, "a"), (2, "b"), (3, "a"), (4, "b")].map(|(id, key)| message(id, key));
    publish(&topics, &batch).await;
    let first = pull(&topics, epoch, 1).await[0].position;
    let given_up = topics.dead_letter(TOPIC, "mail", epoch, first, "x").await;
    given_up.expect("gives up");
    let passed_over = pull(&topics, epoch, 9).await;
    assert_eq!(ids(&passed_over), ["2", "4"], "3 waits behind 1");
    let forgotten = topics.forget_dead_letters(TOPIC, "mail", "a").await;
    assert_eq!(forgotten.expect("forgets"), 1);
    let last = passed_over[1].position;
    let late = topics.ack(TOPIC, "mail", epoch, last).await;
    assert_eq!(refused(late), ErrorKind::Superseded);
    let epoch = topics.join(TOPIC, "mail", "m1").await.expect("joins");
    assert_eq!(ids(&pull(&topics, epoch, 9).await), ["2", "3", "4"]);
}

#[tokio::test]
async fn h13_another_process_takes_a_group_over_only_after_its_lease() {
    let lease = Duration::from_millis(300);
    let here = topics_with(TopicsConfig {
        lease,
        ..TopicsConfig::default()
    })
    .await;
    let there = here.again().await;
    publish(&here, &[message(1, "a"), message(2, "a")]).await;
    let zombie = here.join(TOPIC, "mail", "m1").await.expect("joins");
    let position = pull(&here, zombie, 1).await[0].position;
    let begun = Instant::now();
    let successor = loop {
        match there.join(TOPIC, "mail", "m2").await {
            Ok(epoch) => break epoch,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
        }
        tokio::task::yield_now().await;
    };
    assert!(begun.elapsed() >= lease);
    let late = [
        here.ack(TOPIC, "mail", zombie, position).await,
        here.dead_letter(TOPIC, "mail", zombie, position, "x").await,
        here.pull(TOPIC, "mail", zombie, 1, NOW).await.map(drop),
    ];
    for outcome in late {
        assert_eq!(refused(outcome), ErrorKind::Superseded);
    }
    let all = there.pull(TOPIC, "mail", successor, 9, NOW).await;
    assert_eq!(ids(&all.expect("pulls")), ["1", "2"]);
}

#[tokio::test]
async fn a_message_that_another_process_publishes_wakes_a_long_poll() {
    let here = topics().await;
    let there = here.again().await;
    let epoch = here.join(TOPIC, "mail", "m1").await.expect("joins");
    for n in 1..=3 {
        let begun = Instant::now();
        let wait = Duration::from_secs(60);
        let batch = [message(n, "a")];
        let (pulled, ()) = futures_util::join!(
            here.pull(TOPIC, "mail", epoch, 9, wait),
            publish(&there, &batch),
        );
        let pulled = pulled.expect("pulls");
        assert_eq!(ids(&pulled), [n.to_string()]);
        // Woken by the server, not found by looking again after a third of the lease.
        assert!(
            begun.elapsed() < Duration::from_millis(1_500),
            "{:?}",
            begun.elapsed()
        );
        let acked = here.ack(TOPIC, "mail", epoch, pulled[0].position).await;
        acked.expect("acks");
    }
}

#[tokio::test]
async fn relays_of_two_processes_that_send_the_same_rows_add_each_once_in_order() {
    let here = topics().await;
    let there = here.again().await;
    let rows: Vec<Message> = (0..200)
        .map(|n| message(n, &format!("k{}", n % 7)))
        .collect();
    let relay = async |topics: &Topics, size: usize| {
        for batch in rows.chunks(size) {
            publish(topics, batch).await;
        }
    };
    futures_util::join!(relay(&here, 13), relay(&there, 17));
    let epoch = here.join(TOPIC, "mail", "m1").await.expect("joins");
    let all = pull(&here, epoch, 500).await;
    assert_eq!(all.len(), rows.len());
    for key in 0..7 {
        let key = format!("k{key}");
        let of_key = all.iter().filter(|d| d.message.key.as_ref() == Some(&key));
        let numbers: Vec<usize> = of_key
            .map(|d| d.message.id.parse().expect("a number"))
            .collect();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}
