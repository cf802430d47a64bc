//! Publishing: what comes back, in which order, how often.

use serde_json::json;

use super::super::kit::{Verdict, message, refused, same};
use super::{GROUP, Room, ids, numbers};
use crate::{ErrorKind, Message};

pub(super) async fn a_message_comes_back_as_it_was_published(room: Room) -> Verdict {
    let data = json!({"글": "이음", "n": 1.5, "list": [null, true, {}]});
    let mut full = Message::new(&room.source, "1", "thing.happened", &data)?
        .with_subject("주제 1")
        .with_key("key/1 %-x")
        .with_time(ieum_base::Timestamp::from_micros(1_700_000_000_123_456))
        .with_extension("flow", "orchestrated")
        .with_extension("count", 7)
        .with_extension("final", true);
    full.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    full.datacontenttype = Some("application/json".into());
    let bare = Message {
        data: None,
        ..Message::new(&room.source, "2", "thing.happened", &())?
    };
    room.publish_all(&[full.clone(), bare.clone()]).await?;
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 10).await?;
    same("how many", &pulled.len(), &2)?;
    for (delivery, wanted) in pulled.iter().zip([full, bare]) {
        let json = |message: &Message| serde_json::to_value(message).unwrap_or_default();
        same("the message", &json(&delivery.message), &json(&wanted))?;
    }
    Ok(())
}

pub(super) async fn messages_of_a_key_come_in_the_order_of_publishing(room: Room) -> Verdict {
    for n in (1..=30).step_by(3) {
        let batch =
            (n..n + 3).map(|n| message(&room.source, n, if n % 2 == 0 { "a" } else { "b" }));
        room.publish_all(&batch.collect::<Result<Vec<_>, _>>()?)
            .await?;
    }
    let epoch = room.join().await?;
    let pulled = room.pull(epoch, 100).await?;
    same("the order", &ids(&pulled), &numbers(1..=30))?;
    let rising = pulled
        .windows(2)
        .all(|pair| pair[0].position < pair[1].position);
    same("positions increase", &rising, &true)
}

pub(super) async fn a_large_batch_comes_page_by_page(room: Room) -> Verdict {
    let batch = (1..=500).map(|n| message(&room.source, n, "a"));
    room.publish_all(&batch.collect::<Result<Vec<_>, _>>()?)
        .await?;
    let epoch = room.join().await?;
    let mut seen = Vec::new();
    loop {
        let page = room.pull(epoch, 64).await?;
        same("a page has at most 64", &(page.len() <= 64), &true)?;
        let Some(last) = page.last() else { break };
        room.ack(epoch, last.position).await?;
        seen.extend(ids(&page));
    }
    same("all of them", &seen, &numbers(1..=500))
}

pub(super) async fn publishing_again_adds_nothing(room: Room) -> Verdict {
    room.publish(&["a", "b"]).await?;
    room.publish(&["a", "b"]).await?;
    let twice = message(&room.source, 3, "a")?;
    room.publish_all(&[twice.clone(), twice]).await?;
    room.publish_all(&[]).await?;
    same("the topic", &room.all_ids().await?, &numbers(1..=3))
}

pub(super) async fn publishing_a_batch_again_adds_what_was_missing(room: Room) -> Verdict {
    room.publish(&["a", "a"]).await?;
    room.publish(&["a", "a", "a", "a"]).await?;
    same("the topic", &room.all_ids().await?, &numbers(1..=4))
}

pub(super) async fn an_id_that_means_another_message_is_refused(room: Room) -> Verdict {
    room.publish(&["a"]).await?;
    let other = Message::new(&room.source, "1", "thing.else", &json!({}))?.with_key("a");
    let answer = room.engine.publisher.publish(&room.topic, &[other]).await;
    refused("another type", answer, ErrorKind::Invalid)?;
    same("the topic", &room.all_ids().await?, &numbers([1]))
}

pub(super) async fn a_batch_with_a_wrong_message_is_refused_whole(room: Room) -> Verdict {
    let mut wrong = message(&room.source, 2, "a")?;
    wrong.kind.clear();
    let batch = [message(&room.source, 1, "a")?, wrong];
    let answer = room.engine.publisher.publish(&room.topic, &batch).await;
    refused("an empty type", answer, ErrorKind::Invalid)?;
    same("the topic", &room.all_ids().await?, &numbers([]))
}

pub(super) async fn wrong_names_are_refused(room: Room) -> Verdict {
    let one = [message(&room.source, 1, "a")?];
    let publisher = &room.engine.publisher;
    for topic in ["", "a-b", "a b"] {
        let answer = publisher.publish(topic, &one).await;
        refused(&format!("topic {topic:?}"), answer, ErrorKind::Invalid)?;
    }
    let groups = &room.engine.groups;
    let answer = groups.join(&room.topic, "a b", "reader-1").await;
    refused("a group with a space", answer, ErrorKind::Invalid)?;
    let answer = groups.join(&room.topic, GROUP, "").await;
    refused("a member without a name", answer, ErrorKind::Invalid)
}
