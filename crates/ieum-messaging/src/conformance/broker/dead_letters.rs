//! Dead letters: only the message, and what waits behind it on its key, leaves; nothing is lost.

use std::time::Duration;

use super::super::kit::{Verdict, same};
use super::room::{ONE, REASON, Room, broker_cases, ids, numbers};
use crate::Delivery;

broker_cases![
    Nothing: h30_a_dead_letter_holds_up_no_other_key,
    Nothing: a_dead_letter_says_why,
    Nothing: a_dead_letter_is_not_delivered_again,
    Nothing: giving_up_again_changes_nothing,
    Nothing: groups_give_up_for_themselves,
    ParksKeys: h30_what_follows_a_dead_letter_waits_behind_it,
    ParksKeys: h30_what_an_ack_passes_on_a_parked_key_is_parked,
    ParksKeys: a_parked_key_stays_parked_after_a_crash,
];

/// The place of message `id` among `deliveries`.
fn place(deliveries: &[Delivery], id: u32) -> usize {
    let id = id.to_string();
    let found = deliveries.iter().position(|d| d.message.id == id);
    found.unwrap_or(deliveries.len())
}

async fn h30_a_dead_letter_holds_up_no_other_key(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    room.publish(2, &["good", "good"]).await?;
    same("the others", &reader.read_to("3").await?, &numbers(2..=3))
}

async fn a_dead_letter_says_why(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    let wanted = vec![("1".to_owned(), REASON.to_owned())];
    same("the letter", &room.dead_letters().await, &wanted)?;
    // A second look does not take it away.
    same("still", &room.dead_letters().await, &wanted)
}

async fn a_dead_letter_is_not_delivered_again(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    room.publish(2, &["b"]).await?;
    drop(reader);
    let mut successor = room.member(ONE).await?;
    same("the rest", &ids(&successor.read(1).await?), &numbers([2]))?;
    same("it is kept", &room.dead_letters().await.len(), &1)
}

async fn giving_up_again_changes_nothing(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    reader.give_up(&read, 0).await?;
    reader.ack(&read, 0).await?;
    room.publish(2, &["b"]).await?;
    same("the rest", &ids(&reader.read(1).await?), &numbers([2]))?;
    same("one letter", &room.dead_letters().await.len(), &1)
}

async fn groups_give_up_for_themselves(room: Room) -> Verdict {
    let other = super::super::kit::unique("others-");
    let mut second = room.member_of(&room.topic, &other, ONE).await?;
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    same("the other", &ids(&second.read(2).await?), &numbers(1..=2))
}

async fn h30_what_follows_a_dead_letter_waits_behind_it(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    room.publish(2, &["bad", "good", "bad", "good"]).await?;
    let read = reader.read_to("5").await?;
    same("the other key", &read, &numbers([3, 5]))?;
    reader.gets_nothing(Duration::from_millis(300)).await?;
    parked(&room, &[1, 2, 4]).await
}

async fn h30_what_an_ack_passes_on_a_parked_key_is_parked(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad", "bad", "good"]).await?;
    let read = reader.read(3).await?;
    let bad = place(&read, 1);
    if bad > 0 {
        // The other key came first, which is in order.
        reader.ack(&read, bad - 1).await?;
    }
    reader.give_up(&read, bad).await?;
    // The worker had them all already: the second of the bad key is passed by.
    reader.ack(&read, 2).await?;
    parked(&room, &[1, 2]).await?;
    drop(reader);
    room.publish(4, &["good"]).await?;
    let mut successor = room.member(ONE).await?;
    same("the rest", &ids(&successor.read(1).await?), &numbers([4]))
}

async fn a_parked_key_stays_parked_after_a_crash(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    drop(reader);
    room.publish(2, &["bad", "good"]).await?;
    let mut successor = room.member(ONE).await?;
    same(
        "the other key",
        &ids(&successor.read(1).await?),
        &numbers([3]),
    )?;
    successor.read_to("3").await?;
    successor.gets_nothing(Duration::from_millis(300)).await?;
    parked(&room, &[1, 2]).await
}

/// The ids of the dead letters and of what waits behind them, in order.
async fn parked(room: &Room, wanted: &[u32]) -> Verdict {
    let letters = room.dead_letters().await;
    let found: Vec<String> = letters.into_iter().map(|(id, _)| id).collect();
    same("dead and parked", &found, &numbers(wanted.iter().copied()))
}
