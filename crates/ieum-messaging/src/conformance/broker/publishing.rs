//! Publishing: what comes back, in which order, how often.

use futures_util::future::try_join_all;
use serde_json::json;

use super::super::kit::{Failure, Verdict, message, refused, same};
use super::room::{GROUP, ONE, Room, broker_cases, by_key, ids, keyed, numbers};
use crate::{ErrorKind, Limits, Message};

broker_cases![
    Nothing: a_message_comes_back_as_it_was_published,
    Nothing: a_large_message_comes_back,
    Nothing: a_message_above_the_limit_is_refused,
    Nothing: messages_of_a_key_come_in_the_order_of_publishing,
    Nothing: publishers_at_once_keep_the_order_of_each_key,
    Deduplicates: publishing_again_adds_nothing,
    Deduplicates: publishing_a_batch_again_adds_what_was_missing,
    Nothing: publishing_again_loses_nothing,
    Nothing: a_batch_with_a_wrong_message_is_refused_whole,
    Nothing: wrong_names_are_refused,
    Nothing: names_with_odd_letters_are_kept_apart,
    Nothing: an_empty_batch_is_published,
    Nothing: a_publish_that_was_dropped_can_be_repeated,
];

async fn a_message_comes_back_as_it_was_published(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let messages = specimens(&room.source)?;
    room.publish_all(&messages).await?;
    let read = reader.read(messages.len()).await?;
    for wanted in messages {
        let found = read.iter().find(|d| d.message.id == wanted.id);
        let found = found.ok_or_else(|| Failure(format!("{} is missing", wanted.id)))?;
        let json = |message: &Message| serde_json::to_value(message).unwrap_or_default();
        same("the message", &json(&found.message), &json(&wanted))?;
    }
    Ok(())
}

/// Messages that are hard to carry: each attribute, letters outside ASCII, no data, data as text.
fn specimens(source: &str) -> Result<Vec<Message>, Failure> {
    let data =
        json!({"글": "이음", "n": 1.5, "big": 9_007_199_254_740_993_i64, "list": [null, true, {}]});
    let mut full = Message::new(source, "전체", "thing.happened", &data)?
        .with_subject("주제 1")
        .with_key("키/1 %-x \"quoted\" ünïcödé")
        .with_time(ieum_base::Timestamp::from_micros(1_700_000_000_123_456))
        .with_extension("flow", "orchestrated, twice")
        .with_extension("count", 7)
        .with_extension("large", u64::MAX)
        .with_extension("less", -5)
        .with_extension("final", true)
        .with_extension("digits", "12")
        .with_extension("truth", "true")
        .with_extension("nothing", "");
    full.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    full.datacontenttype = Some("application/json".into());
    let bare = Message {
        data: None,
        ..Message::new(source, "bare", "thing.happened", &())?
    };
    let mut text = Message::new(source, "text", "thing.happened", "두 줄\nund mehr")?;
    text.datacontenttype = Some("text/plain; charset=utf-8".into());
    let mut vendor = Message::new(source, "vendor", "thing.happened", &json!([1, 2]))?;
    vendor.datacontenttype = Some("application/vnd.ieum.thing+json".into());
    let number = Message::new(source, "number", "thing.happened", &12.5)?;
    Ok(vec![full, bare, text, vendor, number])
}

async fn a_large_message_comes_back(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let text = "가".repeat(300_000);
    let large = Message::new(&room.source, "1", "thing.happened", &text)?.with_key("a");
    room.publish_all(&[large, message(&room.source, 2, "a")?])
        .await?;
    let read = reader.read(2).await?;
    same("both", &ids(&read), &numbers(1..=2))?;
    let found: String = read[0].message.decode()?;
    same("the same data", &(found == text), &true)
}

async fn a_message_above_the_limit_is_refused(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let limit = Limits::default().message_bytes;
    let above = Message::new(&room.source, "1", "thing.happened", &"x".repeat(limit))?;
    let publisher = &room.publisher.broker.publisher;
    let batch = [message(&room.source, 2, "a")?, above.with_key("a")];
    let answer = publisher.publish(&room.topic, &batch).await;
    refused("above the limit", answer, ErrorKind::Invalid)?;
    // At the limit it is carried, or refused by an engine that carries less.
    let mut at = Message::new(&room.source, "3", "thing.happened", "")?.with_key("a");
    let room_left = limit - at.size();
    at.data = Message::new("/x", "x", "x", &"x".repeat(room_left))?.data;
    let carried = match publisher.publish(&room.topic, &[at]).await {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::Invalid => false,
        Err(error) => return Err(error.into()),
    };
    room.publish(4, &["a"]).await?;
    let wanted = if carried {
        numbers(3..=4)
    } else {
        numbers([4])
    };
    same("what is there", &reader.read_to("4").await?, &wanted)
}

async fn messages_of_a_key_come_in_the_order_of_publishing(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    for n in (1..=30).step_by(3) {
        let keys = ["a", "b", "a"];
        room.publish(n, &keys).await?;
    }
    let read = reader.read(30).await?;
    let a: Vec<u32> = (1..=30).filter(|n| n % 3 != 2).collect();
    let b: Vec<u32> = (1..=30).filter(|n| n % 3 == 2).collect();
    same("the order", &by_key(&read), &keyed([("a", &a), ("b", &b)]))?;
    let rising = read
        .windows(2)
        .all(|pair| pair[0].position < pair[1].position);
    same("positions increase", &rising, &true)
}

async fn publishers_at_once_keep_the_order_of_each_key(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let publishers = ["a", "b", "c", "d"].into_iter().zip(0..);
    let publishers = publishers.map(async |(key, p)| {
        for n in 1..=20 {
            room.publish(100 * p + n, &[key]).await?;
        }
        Ok::<(), Failure>(())
    });
    try_join_all(publishers).await?;
    let read = reader.read_by_key(80).await?;
    for (key, p) in ["a", "b", "c", "d"].into_iter().zip(0..) {
        let wanted = numbers((1..=20).map(|n| 100 * p + n));
        same(key, read.get(key).unwrap_or(&Vec::new()), &wanted)?;
    }
    Ok(())
}

async fn publishing_again_adds_nothing(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    room.publish(1, &["a", "a"]).await?;
    let twice = message(&room.source, 3, "a")?;
    room.publish_all(&[twice.clone(), twice]).await?;
    room.publish(4, &["a"]).await?;
    same("the topic", &reader.read_to("4").await?, &numbers(1..=4))
}

async fn publishing_a_batch_again_adds_what_was_missing(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    room.publish(1, &["a", "a", "a", "a"]).await?;
    room.publish(5, &["a"]).await?;
    same("the topic", &reader.read_to("5").await?, &numbers(1..=5))
}

/// Whether or not the engine knows it again: nothing is missing, and the first of each are in order.
async fn publishing_again_loses_nothing(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    room.publish(1, &["a", "a"]).await?;
    room.publish(1, &["a", "a", "a"]).await?;
    room.publish(4, &["a"]).await?;
    let mut firsts: Vec<String> = Vec::new();
    for id in reader.read_to("4").await? {
        if !firsts.contains(&id) {
            firsts.push(id);
        }
    }
    same("the first of each", &firsts, &numbers(1..=4))
}

async fn a_batch_with_a_wrong_message_is_refused_whole(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let mut wrong = message(&room.source, 2, "a")?;
    wrong.kind.clear();
    let batch = [message(&room.source, 1, "a")?, wrong];
    let publisher = &room.publisher.broker.publisher;
    let answer = publisher.publish(&room.topic, &batch).await;
    refused("an empty type", answer, ErrorKind::Invalid)?;
    room.publish(3, &["a"]).await?;
    same("the topic", &reader.read_to("3").await?, &numbers([3]))
}

async fn wrong_names_are_refused(room: Room) -> Verdict {
    let one = [message(&room.source, 1, "a")?];
    let broker = &room.publisher.broker;
    for topic in ["", "a-b", "a b", "a\nb"] {
        let answer = broker.publisher.publish(topic, &one).await;
        refused(&format!("topic {topic:?}"), answer, ErrorKind::Invalid)?;
        let answer = broker.subscriber.subscribe(topic, GROUP, ONE).await;
        let answer = answer.map(|_| ());
        refused(&format!("topic {topic:?}"), answer, ErrorKind::Invalid)?;
    }
    for (group, member) in [("a b", ONE), ("", ONE), (GROUP, ""), (GROUP, "a\tb")] {
        let answer = broker.subscriber.subscribe(&room.topic, group, member);
        let answer = answer.await.map(|_| ());
        refused(
            &format!("{group:?}, {member:?}"),
            answer,
            ErrorKind::Invalid,
        )?;
    }
    Ok(())
}

/// Letters that mean something to some engine, and the longest names.
async fn names_with_odd_letters_are_kept_apart(room: Room) -> Verdict {
    let base = room.topic.replace('.', "_");
    let long = format!(
        "{base}.{}",
        "x".repeat(crate::names::MAX_LEN - base.len() - 2)
    );
    let mut topics: Vec<String> = [
        ".a", ".A", ".a.b", ".*", ".#", ".>", "/a", "_a", ":a", "주문",
    ]
    .into_iter()
    .map(|end| format!("{base}{end}"))
    .collect();
    topics.extend([format!("{long}1"), format!("{long}2")]);
    let group = format!("of-{}", "g".repeat(crate::names::MAX_LEN - 3));
    let mut members = Vec::new();
    for topic in &topics {
        members.push(room.member_of(topic, &group, ONE).await?);
    }
    for (n, topic) in (1..).zip(&topics) {
        let one = message(&room.source, n, "a")?;
        let publisher = &room.publisher.broker.publisher;
        publisher.publish(topic, &[one]).await?;
    }
    for (n, topic) in (100..).zip(&topics) {
        let one = message(&room.source, n, "a")?;
        let publisher = &room.publisher.broker.publisher;
        publisher.publish(topic, &[one]).await?;
    }
    for ((n, topic), member) in (1..).zip(&topics).zip(&mut members) {
        let found = ids(&member.read(2).await?);
        same(topic, &found, &numbers([n, n + 99]))?;
    }
    Ok(())
}

async fn an_empty_batch_is_published(room: Room) -> Verdict {
    room.publish_all(&[]).await
}

/// Dropping the call leaves it unknown; the same batch again settles it.
async fn a_publish_that_was_dropped_can_be_repeated(room: Room) -> Verdict {
    let mut reader = room.member(ONE).await?;
    let batch = (1..=20).map(|n| message(&room.source, n, "a"));
    let batch = batch.collect::<Result<Vec<_>, _>>()?;
    for micros in [0, 200, 1_000, 5_000] {
        let limit = std::time::Duration::from_micros(micros);
        let _ = tokio::time::timeout(limit, room.publish_all(&batch)).await;
    }
    room.publish_all(&batch).await?;
    room.publish(21, &["a"]).await?;
    let mut seen = reader.read_to("21").await?;
    // What came more than once came whole: the last time each is seen is in order too.
    seen.reverse();
    let mut lasts: Vec<String> = Vec::new();
    for id in seen {
        if !lasts.contains(&id) {
            lasts.push(id);
        }
    }
    lasts.reverse();
    same("the last of each", &lasts, &numbers(1..=21))
}
