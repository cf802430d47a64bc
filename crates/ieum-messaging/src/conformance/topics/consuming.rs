//! Working for a group: redelivery, acknowledgement, terms, dead letters.

use std::time::Duration;

use super::super::kit::{Failure, Verdict, refused, same, unique};
use super::{GROUP, NOW, Room, ids, numbers, position};
use crate::{DeadLetterReason, Epoch, ErrorKind};

pub(super) async fn a_group_may_join_before_the_first_message(room: Room) -> Verdict {
    let epoch = room.join().await?;
    same("nothing yet", &room.pull(epoch, 10).await?.len(), &0)?;
    room.publish(&["a"]).await?;
    same("one", &ids(&room.pull(epoch, 10).await?), &numbers([1]))
}

pub(super) async fn a_pull_wakes_up_for_a_message(room: Room) -> Verdict {
    let epoch = room.join().await?;
    let wait = Duration::from_secs(20);
    let begun = tokio::time::Instant::now();
    // Polled in this order: the message comes when somebody has begun to wait for it.
    let pulling = room.engine.groups.pull(&room.topic, GROUP, epoch, 10, wait);
    let publishing = room.publish(&["a"]);
    let (pulled, published) = futures_util::future::join(pulling, publishing).await;
    published?;
    same("the message", &ids(&pulled?), &numbers([1]))?;
    let took = begun.elapsed();
    same(
        &format!("soon, {took:?}"),
        &(took < Duration::from_secs(5)),
        &true,
    )
}

pub(super) async fn a_pull_waits_no_longer_than_it_is_told(room: Room) -> Verdict {
    let epoch = room.join().await?;
    let wait = Duration::from_millis(100);
    let pulling = room.engine.groups.pull(&room.topic, GROUP, epoch, 10, wait);
    let pulled = tokio::time::timeout(Duration::from_secs(5), pulling).await;
    let pulled = pulled.map_err(|_| Failure("it waits for ever".to_owned()))?;
    same("nothing came", &pulled?.len(), &0)?;
    let renewing = room
        .engine
        .groups
        .pull(&room.topic, GROUP, epoch, 0, Duration::from_secs(60));
    let renewed = tokio::time::timeout(Duration::from_secs(5), renewing).await;
    let renewed = renewed.map_err(|_| Failure("a `max` of 0 waits".to_owned()))?;
    same("a `max` of 0 answers nothing", &renewed?.len(), &0)
}

pub(super) async fn what_was_not_acknowledged_is_delivered_again(room: Room) -> Verdict {
    room.publish(&["a", "b", "a"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 2).await?;
    same("the first page", &ids(&pulled), &numbers(1..=2))?;
    room.ack(epoch, position(&pulled, 0)?).await?;
    same("again", &ids(&room.pull(epoch, 10).await?), &numbers(2..=3))?;
    let epoch = room.join().await?;
    same(
        "after a restart",
        &ids(&room.pull(epoch, 10).await?),
        &numbers(2..=3),
    )
}

pub(super) async fn h30_a_pull_looks_past_what_is_not_acknowledged(room: Room) -> Verdict {
    room.publish(&["a", "b", "c", "d", "b"]).await?;
    let epoch = room.join().await?;
    let groups = &room.engine.groups;
    let ahead = async |after, max| {
        groups
            .pull_after(&room.topic, GROUP, epoch, after, max, NOW)
            .await
    };
    let pulled = room.pull(epoch, 2).await?;
    let last = position(&pulled, 1)?;
    let behind = ahead(last, 2).await?;
    same("behind", &ids(&behind), &numbers(3..=4))?;
    let end = position(&behind, 1)?;
    same("the end", &ids(&ahead(end, 9).await?), &numbers([5]))?;
    // The checkpoint stays, and stands above what is asked for.
    same("again", &ids(&room.pull(epoch, 2).await?), &numbers(1..=2))?;
    room.ack(epoch, end).await?;
    same("acknowledged", &ids(&ahead(last, 9).await?), &numbers([5]))
}

pub(super) async fn an_ack_never_goes_back(room: Room) -> Verdict {
    room.publish(&["a", "b", "a"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    room.ack(epoch, position(&pulled, 1)?).await?;
    room.ack(epoch, position(&pulled, 0)?).await?;
    same(
        "the rest",
        &ids(&room.pull(epoch, 10).await?),
        &numbers([3]),
    )
}

pub(super) async fn an_ack_beyond_the_end_is_refused(room: Room) -> Verdict {
    room.publish(&["a"]).await?;
    let epoch = room.join().await?;
    let far = room
        .engine
        .groups
        .ack(&room.topic, GROUP, epoch, 1 << 60)
        .await;
    refused("far beyond the end", far, ErrorKind::Invalid)?;
    same(
        "nothing is lost",
        &ids(&room.pull(epoch, 10).await?),
        &numbers([1]),
    )
}

pub(super) async fn groups_do_not_share_their_checkpoints(room: Room) -> Verdict {
    room.publish(&["a", "a"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    room.ack(epoch, position(&pulled, 1)?).await?;
    same("another group", &room.all_ids().await?, &numbers(1..=2))
}

pub(super) async fn another_member_is_refused_while_the_worker_is_alive(room: Room) -> Verdict {
    let first = room.join().await?;
    let other = room
        .engine
        .groups
        .join(&room.topic, GROUP, "reader-2")
        .await;
    refused("another member", other, ErrorKind::Busy)?;
    let again = room.join().await?;
    same("a new term", &(again > first), &true)
}

pub(super) async fn h13_a_superseded_member_is_refused(room: Room) -> Verdict {
    room.publish(&["a", "b"]).await?;
    let zombie = room.join().await?;
    let pulled = room.pull(zombie, 10).await?;
    let at = position(&pulled, 0)?;
    let owner = room.join().await?;
    let (groups, topic) = (&room.engine.groups, &room.topic);
    let kind = ErrorKind::Superseded;
    refused("ack", groups.ack(topic, GROUP, zombie, at).await, kind)?;
    let letter = groups.dead_letter(topic, GROUP, zombie, at, "no").await;
    refused("dead letter", letter, kind)?;
    let pull = groups.pull(topic, GROUP, zombie, 10, NOW).await;
    refused("pull", pull, kind)?;
    let renewal = groups.pull(topic, GROUP, zombie, 0, NOW).await;
    refused("renewal", renewal, kind)?;
    let never = groups
        .pull(topic, &unique("nobody-"), Epoch(1), 10, NOW)
        .await;
    refused("a group that nobody joined", never, kind)?;
    same(
        "the owner",
        &ids(&room.pull(owner, 10).await?),
        &numbers(1..=2),
    )?;
    same("no dead letters", &room.dead_letters().await?.len(), &0)
}

pub(super) async fn h30_a_dead_letter_parks_only_its_key(room: Room) -> Verdict {
    room.publish(&["bad", "good"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    let at = position(&pulled, 0)?;
    room.give_up(epoch, at).await?;
    same(
        "the other key",
        &ids(&room.pull(epoch, 10).await?),
        &numbers([2]),
    )?;
    room.publish(&["bad", "good", "bad", "good"]).await?;
    let pulled = room.pull(epoch, 10).await?;
    same("the bad key waits", &ids(&pulled), &numbers([2, 4]))?;
    room.ack(epoch, position(&pulled, 1)?).await?;
    same("all is done", &room.pull(epoch, 10).await?.len(), &0)?;
    let wanted = [
        ("1".to_owned(), DeadLetterReason::GaveUp("no".to_owned())),
        ("3".to_owned(), DeadLetterReason::Behind(at)),
    ];
    same(
        "nothing is lost",
        &room.dead_letters().await?,
        &wanted.to_vec(),
    )
}

pub(super) async fn h30_what_an_ack_passes_on_a_parked_key_is_parked(room: Room) -> Verdict {
    room.publish(&["bad", "bad", "good"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    let at = position(&pulled, 0)?;
    room.give_up(epoch, at).await?;
    // The worker had them all already: the second of the bad key is passed by.
    room.ack(epoch, position(&pulled, 2)?).await?;
    let epoch = room.join().await?;
    same("all is done", &room.pull(epoch, 10).await?.len(), &0)?;
    let behind = ("2".to_owned(), DeadLetterReason::Behind(at));
    let letters = room.dead_letters().await?;
    same("it is kept", &letters.get(1), &Some(&behind))
}

pub(super) async fn giving_up_again_changes_nothing(room: Room) -> Verdict {
    room.publish(&["a", "a", "b"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    room.give_up(epoch, position(&pulled, 0)?).await?;
    room.give_up(epoch, position(&pulled, 0)?).await?;
    room.give_up(epoch, position(&pulled, 1)?).await?;
    let letters = room.dead_letters().await?;
    let kept: Vec<String> = letters.into_iter().map(|(id, _)| id).collect();
    same("the dead letters", &kept, &numbers(1..=2))?;
    same(
        "the other key",
        &ids(&room.pull(epoch, 10).await?),
        &numbers([3]),
    )
}

pub(super) async fn a_subscription_goes_on_after_a_crash(room: Room) -> Verdict {
    room.publish(&["a", "b", "a", "b"]).await?;
    let subscriber = &room.engine.subscriber;
    let mut before = subscriber.subscribe(&room.topic, GROUP, "reader-1").await?;
    let page = before.next(3).await?;
    same("a page", &ids(&page), &numbers(1..=3))?;
    let first = page.first().ok_or_else(|| Failure("a page".to_owned()))?;
    before.ack(first).await?;
    before.keep().await?;
    // The process dies; its successor has the same name. The first one then turns out to live.
    let mut after = subscriber.subscribe(&room.topic, GROUP, "reader-1").await?;
    let again = after.next(10).await?;
    same("what was not acknowledged", &ids(&again), &numbers(2..=4))?;
    let late = page.last().ok_or_else(|| Failure("a page".to_owned()))?;
    refused(
        "the zombie's ack",
        before.ack(late).await,
        ErrorKind::Superseded,
    )?;
    let last = again.last().ok_or_else(|| Failure("a page".to_owned()))?;
    Ok(after.ack(last).await?)
}

pub(super) async fn an_operator_sees_topics_and_groups(room: Room) -> Verdict {
    room.publish(&["a", "a", "b"]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    room.give_up(epoch, position(&pulled, 0)?).await?;
    let topics = room.engine.inspect.topics().await?;
    let topic = topics.iter().find(|t| t.topic == room.topic);
    same("the topic's messages", &topic.map(|t| t.messages), &Some(3))?;
    let groups = room.engine.inspect.groups().await?;
    let group = groups
        .iter()
        .find(|g| g.topic == room.topic && g.group == GROUP);
    let seen = group.map(|g| (g.member.as_deref(), g.epoch, g.dead_letters > 0));
    same("the group", &seen, &Some((Some("reader-1"), epoch, true)))?;
    room.ack(epoch, position(&pulled, 2)?).await?;
    let groups = room.engine.inspect.groups().await?;
    let group = groups
        .iter()
        .find(|g| g.topic == room.topic && g.group == GROUP);
    same("the lag", &group.map(|g| g.lag), &Some(0))
}
