//! A broker that is killed and started again: what was acknowledged stays, and work goes on by itself.

use std::time::Duration;

use futures_util::future::join;

use super::super::kit::{Failure, Verdict, message, same};
use super::room::{ONE, REASON, Room, broker_cases, ids, numbers, turn};
use crate::{Durable, Message};

broker_cases![
    Outage: what_was_published_survives_an_outage,
    Outage: what_was_acknowledged_stays_acknowledged_over_an_outage,
    Outage: a_dead_letter_survives_an_outage,
    Outage: a_subscription_goes_on_after_an_outage,
    Outage: publishing_through_outages_loses_nothing_and_keeps_the_order,
];

/// How soon everything works again after the server does.
const AGAIN: Duration = Duration::from_secs(20);

/// Publishes until it is taken, as a relay does.
async fn publish_until_taken(room: &Room, batch: &[Message]) -> Verdict {
    let publisher = &room.publisher.broker.publisher;
    let publishing = async {
        loop {
            match publisher.publish(&room.topic, batch).await {
                Ok(()) => return Ok(()),
                Err(error) if error.retry().is_worthwhile() => {
                    turn().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let published = tokio::time::timeout(AGAIN, publishing).await;
    published.map_err(|_| Failure(format!("nothing is taken within {AGAIN:?}")))?
}

async fn what_was_published_survives_an_outage(room: Room) -> Verdict {
    if room.capabilities.durable == Durable::Memory {
        return Ok(());
    }
    drop(room.member(ONE).await?);
    room.publish(1, &["a", "a", "a"]).await?;
    room.outage().await?;
    let mut reader = room.member(ONE).await?;
    same("all of it", &ids(&reader.read(3).await?), &numbers(1..=3))
}

async fn what_was_acknowledged_stays_acknowledged_over_an_outage(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    let read = reader.read(3).await?;
    reader.ack(&read, 1).await?;
    room.outage().await?;
    drop(reader);
    let mut successor = room.member(ONE).await?;
    same("the rest", &ids(&successor.read(1).await?), &numbers([3]))
}

async fn a_dead_letter_survives_an_outage(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["bad"]).await?;
    let read = reader.read(1).await?;
    reader.give_up(&read, 0).await?;
    room.outage().await?;
    let wanted = vec![("1".to_owned(), REASON.to_owned())];
    same("the letter", &room.dead_letters().await, &wanted)
}

async fn a_subscription_goes_on_after_an_outage(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    reader.read(2).await?;
    room.outage().await?;
    let batch = [message(&room.source, 3, "a")?];
    publish_until_taken(&room, &batch).await?;
    let mut seen = Vec::new();
    let reading = async {
        // A call may fail while it connects again, as a consumer expects.
        while !seen.iter().any(|id| id == "3") {
            match reader.subscription.next(10).await {
                Ok(page) => seen = ids(&page),
                Err(error) if error.retry().is_worthwhile() => {}
                Err(error) => return Err(Failure::from(error)),
            }
            turn().await;
        }
        Ok(())
    };
    let read = tokio::time::timeout(AGAIN, reading).await;
    read.map_err(|_| Failure(format!("not within {AGAIN:?}")))??;
    same("all of it", &seen, &numbers(1..=3))?;
    let read = reader.read(3).await?;
    reader.ack(&read, 2).await
}

/// Batches one after the other, each repeated until it is taken, while the server is killed.
async fn publishing_through_outages_loses_nothing_and_keeps_the_order(room: Room) -> Verdict {
    drop(room.member(ONE).await?);
    let publishing = async {
        for first in (1..=300).step_by(3) {
            let batch = (first..first + 3).map(|n| message(&room.source, n, "a"));
            let batch = batch.collect::<Result<Vec<_>, _>>()?;
            publish_until_taken(&room, &batch).await?;
            turn().await;
        }
        Ok(())
    };
    let (published, broken): (Verdict, Verdict) = join(publishing, room.outage()).await;
    published?;
    broken?;
    let mut reader = room.member(ONE).await?;
    let mut firsts: Vec<String> = Vec::new();
    for id in reader.read_to("300").await? {
        if !firsts.contains(&id) {
            firsts.push(id);
        }
    }
    same("the first of each", &firsts, &numbers(1..=300))
}
