//! Members of a group: one works at a time, and nobody else's work counts.

use std::time::Duration;

use super::super::kit::{Verdict, refused, same};
use super::room::{ONE, Room, TWO, at, broker_cases, ids, numbers};
use crate::ErrorKind;

broker_cases![
    Nothing: a_second_member_waits_while_the_first_is_alive,
    Nothing: a_member_that_vanished_frees_its_group,
    Nothing: a_subscription_that_was_dropped_frees_its_group,
    Nothing: the_same_name_takes_over_at_once,
    Nothing: h13_a_superseded_member_is_refused,
    Nothing: h13_what_a_superseded_member_does_changes_nothing,
    Nothing: h14_two_that_share_a_name_do_not_both_work,
    Nothing: a_member_that_says_that_it_is_alive_keeps_its_group,
];

/// How soon "at once" is.
const SOON: Duration = Duration::from_secs(5);

async fn a_second_member_waits_while_the_first_is_alive(room: Room) -> Verdict {
    let mut first = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    let read = first.read(2).await?;
    let mut standby = room.member(TWO).await?;
    for _ in 0..3 {
        standby.gets_nothing(room.engine.freed_within / 6).await?;
        first.subscription.keep().await?;
    }
    // What it has from hearsay it cannot acknowledge.
    let answer = standby.subscription.ack(at(&read, 1)?).await;
    let is_refused = answer.is_err_and(|e| {
        matches!(
            e.kind(),
            ErrorKind::Superseded | ErrorKind::Invalid | ErrorKind::Busy
        )
    });
    same("an ack by a standby is refused", &is_refused, &true)?;
    // The first one was not disturbed.
    first.ack(&read, 0).await?;
    same("the rest", &ids(&first.read(1).await?), &numbers([2]))
}

/// Its process ended without a word: nobody closed anything.
async fn a_member_that_vanished_frees_its_group(room: Room) -> Verdict {
    let mut first = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    let read = first.read(2).await?;
    first.ack(&read, 0).await?;
    let mut standby = room.member(TWO).await?;
    standby.gets_nothing(Duration::from_millis(300)).await?;
    drop(first);
    let waiting = tokio::time::timeout(room.engine.freed_within, standby.read(1));
    let read = waiting.await.map_err(|_| {
        let why = format!("not freed within {:?}", room.engine.freed_within);
        super::super::kit::Failure(why)
    })?;
    same("its successor goes on", &ids(&read?), &numbers([2]))
}

async fn a_subscription_that_was_dropped_frees_its_group(room: Room) -> Verdict {
    let subscriber = &room.publisher.broker.subscriber;
    let mut first = subscriber
        .subscribe(&room.topic, super::room::GROUP, ONE)
        .await?;
    room.publish(1, &["a"]).await?;
    while first.next(1).await?.is_empty() {}
    drop(first);
    let mut other = room.member(TWO).await?;
    let waiting = tokio::time::timeout(room.engine.freed_within, other.read(1));
    let read = waiting.await.map_err(|_| {
        let why = format!("not freed within {:?}", room.engine.freed_within);
        super::super::kit::Failure(why)
    })?;
    same("another member goes on", &ids(&read?), &numbers([1]))
}

async fn the_same_name_takes_over_at_once(room: Room) -> Verdict {
    let mut before = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    before.read(2).await?;
    let begun = tokio::time::Instant::now();
    let mut after = room.member(ONE).await?;
    same("all of it", &ids(&after.read(2).await?), &numbers(1..=2))?;
    let took = begun.elapsed();
    same(&format!("at once, {took:?}"), &(took < SOON), &true)
}

async fn h13_a_superseded_member_is_refused(room: Room) -> Verdict {
    let mut zombie = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    let read = zombie.read(2).await?;
    let mut owner = room.member(ONE).await?;
    let owned = owner.read(2).await?;
    let kind = ErrorKind::Superseded;
    let held = at(&read, 0)?;
    refused("ack", zombie.subscription.ack(held).await, kind)?;
    let letter = zombie.subscription.dead_letter(held, "no").await;
    refused("dead letter", letter, kind)?;
    owner.ack(&owned, 1).await?;
    room.publish(3, &["a"]).await?;
    same("the owner", &ids(&owner.read(1).await?), &numbers([3]))?;
    same("no dead letters", &room.dead_letters().await, &Vec::new())
}

async fn h13_what_a_superseded_member_does_changes_nothing(room: Room) -> Verdict {
    let mut zombie = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    let read = zombie.read(3).await?;
    let mut owner = room.member(ONE).await?;
    owner.read(3).await?;
    // Whatever it is told: none of it counts.
    let _ = zombie.subscription.ack(at(&read, 2)?).await;
    let _ = zombie.subscription.dead_letter(at(&read, 0)?, "no").await;
    let _ = zombie.subscription.keep().await;
    same("all is there", &ids(&owner.read(3).await?), &numbers(1..=3))?;
    drop((zombie, owner));
    let mut next = room.member(ONE).await?;
    same("and stays", &ids(&next.read(3).await?), &numbers(1..=3))?;
    same("no dead letters", &room.dead_letters().await, &Vec::new())
}

/// A name that was used again by mistake: they take turns, and what one acknowledged the other never
/// gets.
async fn h14_two_that_share_a_name_do_not_both_work(room: Room) -> Verdict {
    let mut first = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    first.read(3).await?;
    let mut second = room.member(ONE).await?;
    let read = second.read(3).await?;
    second.ack(&read, 1).await?;
    let again = first.read(1).await?;
    same("what is left", &ids(&again), &numbers([3]))?;
    first.ack(&again, 0).await?;
    room.publish(4, &["a"]).await?;
    same("it works now", &ids(&first.read(1).await?), &numbers([4]))
}

/// For longer than a lease, if the engine has one.
async fn a_member_that_says_that_it_is_alive_keeps_its_group(room: Room) -> Verdict {
    let mut first = room.member(ONE).await?;
    room.publish(1, &["a"]).await?;
    let read = first.read(1).await?;
    let mut standby = room.member(TWO).await?;
    let lease = room.engine.freed_within;
    for _ in 0..8 {
        first.subscription.keep().await?;
        standby.gets_nothing(lease / 6).await?;
    }
    first.ack(&read, 0).await?;
    room.publish(2, &["a"]).await?;
    same("it works still", &ids(&first.read(1).await?), &numbers([2]))
}
