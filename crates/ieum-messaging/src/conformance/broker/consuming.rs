//! Consuming: waiting, acknowledging, redelivery, what a new group gets.

use std::time::Duration;

use futures_util::future::join;

use super::super::kit::{Failure, Verdict, message, same, unique};
use super::room::{GROUP, ONE, Room, at, broker_cases, ids, keyed, numbers, turn};

broker_cases![
    Nothing: a_group_gets_what_is_published_after_it_subscribed,
    RetainsHistory: a_new_group_gets_the_topic_from_its_beginning,
    Nothing: next_wakes_up_for_a_message,
    Nothing: next_does_not_wait_for_ever,
    Nothing: next_answers_at_most_what_is_asked_for,
    Nothing: what_is_not_acknowledged_is_answered_again,
    Nothing: what_was_not_acknowledged_is_delivered_after_a_crash,
    Nothing: an_ack_acknowledges_everything_before_it_for_good,
    Nothing: an_ack_never_goes_back,
    Nothing: an_ack_of_what_was_never_delivered_is_refused,
    Nothing: groups_do_not_share,
    Nothing: next_is_cancel_safe,
    Nothing: an_ack_that_was_dropped_can_be_repeated,
    LooksAhead: h30_a_subscription_looks_past_what_is_not_acknowledged,
    Nothing: h30_redelivery_never_deletes_what_was_not_acknowledged,
    Nothing: thousands_of_messages_come_page_by_page,
];

async fn a_group_gets_what_is_published_after_it_subscribed(room: Room) -> Verdict {
    // `next` was never called: to have subscribed is enough.
    drop(room.member(ONE).await?);
    room.publish(1, &["a", "a"]).await?;
    let mut reader = room.member(ONE).await?;
    same("since then", &ids(&reader.read(2).await?), &numbers(1..=2))
}

async fn a_new_group_gets_the_topic_from_its_beginning(room: Room) -> Verdict {
    room.publish(1, &["a", "a"]).await?;
    let mut first = room.member(ONE).await?;
    same(
        "the first group",
        &ids(&first.read(2).await?),
        &numbers(1..=2),
    )?;
    first.read_to("2").await?;
    room.publish(3, &["a"]).await?;
    let group = unique("late-");
    let mut late = room.member_of(&room.topic, &group, ONE).await?;
    same("a later group", &ids(&late.read(3).await?), &numbers(1..=3))
}

async fn next_wakes_up_for_a_message(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    // It has begun to work, and waits.
    room.publish(1, &["a"]).await?;
    reader.read_to("1").await?;
    reader.gets_nothing(Duration::from_millis(200)).await?;
    let begun = tokio::time::Instant::now();
    // Polled in this order: the message comes when somebody has begun to wait for it.
    let (read, published) = join(reader.read(1), room.publish(2, &["a"])).await;
    published?;
    same("the message", &ids(&read?), &numbers([2]))?;
    let took = begun.elapsed();
    let soon = took < Duration::from_secs(2);
    same(&format!("soon, {took:?}"), &soon, &true)
}

async fn next_does_not_wait_for_ever(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let next = reader.subscription.next(10);
    let answer = tokio::time::timeout(Duration::from_secs(60), next).await;
    let answer = answer.map_err(|_| Failure("it waits for ever".to_owned()))?;
    same("nothing came", &ids(&answer?), &numbers([]))
}

async fn next_answers_at_most_what_is_asked_for(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    reader.read(3).await?;
    same("one", &ids(&reader.read(1).await?), &numbers([1]))?;
    let none = reader.subscription.next(0).await?;
    same("asked for none", &(none.len() <= 1), &true)
}

async fn what_is_not_acknowledged_is_answered_again(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    let read = reader.read(2).await?;
    same("a page", &ids(&read), &numbers(1..=2))?;
    same("again", &ids(&reader.read(2).await?), &numbers(1..=2))?;
    reader.ack(&read, 0).await?;
    same("the rest", &ids(&reader.read(2).await?), &numbers(2..=3))
}

async fn what_was_not_acknowledged_is_delivered_after_a_crash(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "b", "a", "b", "a"]).await?;
    let read = reader.read(5).await?;
    let all = super::room::by_key(&read);
    same("all", &all, &keyed([("a", &[1, 3, 5]), ("b", &[2, 4])]))?;
    reader.ack(&read, 0).await?;
    let acknowledged = at(&read, 0)?.message.id.clone();
    drop(reader);
    let mut successor = room.member(ONE).await?;
    let again = ids(&successor.read(4).await?);
    let mut rest = ids(&read);
    rest.retain(|id| *id != acknowledged);
    let by_key = |ids: &[String]| -> (Vec<String>, Vec<String>) {
        let odd = |id: &&String| id.ends_with(['1', '3', '5']);
        ids.iter().cloned().partition(|id| odd(&id))
    };
    same("what is left, in order", &by_key(&again), &by_key(&rest))
}

async fn an_ack_acknowledges_everything_before_it_for_good(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a", "a"]).await?;
    let read = reader.read(3).await?;
    reader.ack(&read, 2).await?;
    drop(reader);
    let mut successor = room.member(ONE).await?;
    same("the rest", &ids(&successor.read(1).await?), &numbers([4]))
}

async fn an_ack_never_goes_back(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    let read = reader.read(3).await?;
    reader.ack(&read, 1).await?;
    reader.ack(&read, 0).await?;
    reader.ack(&read, 1).await?;
    same("the rest", &ids(&reader.read(1).await?), &numbers([3]))
}

async fn an_ack_of_what_was_never_delivered_is_refused(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a"]).await?;
    let read = reader.read(1).await?;
    let mut beyond = at(&read, 0)?.clone();
    beyond.position += 1 << 40;
    let answer = reader.subscription.ack(&beyond).await;
    super::super::kit::refused("far beyond", answer, crate::ErrorKind::Invalid)?;
    same(
        "nothing is lost",
        &ids(&reader.read(1).await?),
        &numbers([1]),
    )
}

async fn groups_do_not_share(room: Room) -> Verdict {
    let mut first = room.member(ONE).await?;
    let other = unique("others-");
    let mut second = room.member_of(&room.topic, &other, ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    first.read_to("2").await?;
    drop(first);
    same("the other", &ids(&second.read(2).await?), &numbers(1..=2))
}

async fn next_is_cancel_safe(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let mut seen: Vec<String> = Vec::new();
    for n in 1..=40 {
        room.publish(n, &["a"]).await?;
        // Dropped at another moment each time.
        let limit = Duration::from_micros(u64::from(n) * 50);
        let next = tokio::time::timeout(limit, reader.subscription.next(8)).await;
        if let Ok(page) = next {
            let page = page?;
            if let Some(last) = page.last() {
                reader.subscription.ack(last).await?;
            }
            seen.extend(ids(&page));
        }
    }
    if seen.last().is_none_or(|id| id != "40") {
        seen.extend(reader.read_to("40").await?);
    }
    same("all of them", &seen, &numbers(1..=40))
}

async fn an_ack_that_was_dropped_can_be_repeated(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a", "a"]).await?;
    let read = reader.read(3).await?;
    for micros in [0, 100, 1_000] {
        let ack = reader.subscription.ack(at(&read, 1)?);
        let _ = tokio::time::timeout(Duration::from_micros(micros), ack).await;
    }
    reader.ack(&read, 1).await?;
    same("the rest", &ids(&reader.read(2).await?), &numbers(3..=4))?;
    drop(reader);
    let mut successor = room.member(ONE).await?;
    same("still", &ids(&successor.read(2).await?), &numbers(3..=4))
}

async fn h30_a_subscription_looks_past_what_is_not_acknowledged(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a", "a", "a"]).await?;
    let read = reader.read(2).await?;
    let last = at(&read, 1)?;
    let mut behind = Vec::new();
    // It does not wait: what has not come yet is seen at the next look.
    while behind.len() < 2 {
        behind = reader.subscription.ahead(last, 2).await?;
        turn().await;
    }
    same("behind", &ids(&behind), &numbers(3..=4))?;
    same(
        "the front stays",
        &ids(&reader.read(2).await?),
        &numbers(1..=2),
    )?;
    reader.ack(&behind, 1).await?;
    same(
        "all before is done",
        &ids(&reader.read(1).await?),
        &numbers([5]),
    )
}

/// Forty deliveries without an acknowledgement, which is more than any engine's patience by default
/// (nats-server#6538, and RabbitMQ 4 deletes after twenty).
async fn h30_redelivery_never_deletes_what_was_not_acknowledged(room: Room) -> Verdict {
    let reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    drop(reader);
    for _ in 0..40 {
        let mut reader = room.member(ONE).await?;
        same("both", &ids(&reader.read(2).await?), &numbers(1..=2))?;
    }
    Ok(())
}

async fn thousands_of_messages_come_page_by_page(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    for first in (1..=3_000).step_by(500) {
        let batch = (first..first + 500).map(|n| message(&room.source, n, "a"));
        let batch = batch.collect::<Result<Vec<_>, _>>()?;
        room.publish_all(&batch).await?;
    }
    let seen = reader.read_to("3000").await?;
    same("all of them", &seen, &numbers(1..=3_000))?;
    let subscriber = &room.publisher.broker.subscriber;
    drop(subscriber.subscribe(&room.topic, GROUP, ONE).await?);
    Ok(())
}
