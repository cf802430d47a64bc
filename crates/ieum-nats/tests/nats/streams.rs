//! Streams that exist, messages of others, and what does not fit.

use futures_util::StreamExt;
use ieum_messaging::{DeadLetterFilter, DeadLetterReason, ErrorKind, Inspect, Subscriber as _};
use ieum_messaging::{Publisher as _, Subscription};
use ieum_testkit::engines::Nats;

use crate::server::{client, engine, message, next, shared};

const GROUP: &str = "readers";

async fn subscribe(engine: &ieum_nats::Engine, topic: &str) -> Box<dyn Subscription> {
    let subscriber = engine.subscriber();
    let subscribed = subscriber.subscribe(topic, GROUP, "reader-1").await;
    subscribed.expect("subscribed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_stream_that_exists_are_left_as_they_are() {
    let context = async_nats::jetstream::new(client(shared()).await);
    let before = async_nats::jetstream::stream::Config {
        name: "mine-orders".to_owned(),
        subjects: vec!["mine.>".to_owned()],
        max_messages: 5,
        max_age: std::time::Duration::from_secs(3_600),
        ..Default::default()
    };
    let made = context.create_stream(before).await.expect("made");
    let before = made.cached_info().config.clone();
    let engine = engine(shared(), "/mine?max-age=240h").await;
    let publisher = engine.publisher();
    publisher
        .publish("orders", &[message("1", "a")])
        .await
        .expect("published");
    let mut subscription = subscribe(&engine, "orders").await;
    assert_eq!(next(&mut subscription, 1).await[0].message.id, "1");
    let after = context.get_stream("mine-orders").await.expect("there");
    assert_eq!(after.cached_info().config, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_hold_the_topic_is_told() {
    let context = async_nats::jetstream::new(client(shared()).await);
    for (name, subject, retention, why) in [
        (
            "theirs-a",
            "elsewhere.a",
            Retention::Limits,
            "does not take the subject",
        ),
        (
            "theirs-b",
            "theirs.topic.b",
            Retention::WorkQueue,
            "otherwise than by limits",
        ),
    ] {
        let config = async_nats::jetstream::stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            retention,
            ..Default::default()
        };
        context.create_stream(config).await.expect("made");
        let engine = engine(shared(), "/theirs").await;
        let topic = name.trim_start_matches("theirs-");
        let error = engine
            .publisher()
            .publish(topic, &[message("1", "a")])
            .await;
        let error = error.expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(why), "{error}");
    }
}

use async_nats::jetstream::stream::RetentionPolicy as Retention;

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_other_languages_are_read_and_what_is_none_is_set_aside() {
    let engine = engine(shared(), "/others").await;
    let publisher = engine.publisher();
    publisher
        .publish("orders", &[message("1", "a")])
        .await
        .expect("published");
    let context = async_nats::jetstream::new(client(shared()).await);
    let structured = r#"{"specversion":"1.0","id":"2","source":"/js","type":"t","data":{"n":2}}"#;
    for payload in ["no event at all", structured] {
        let sent = context.publish("others.topic.orders", payload.into());
        sent.await.expect("sent").await.expect("stored");
    }
    let mut subscription = subscribe(&engine, "orders").await;
    let read = next(&mut subscription, 2).await;
    let ids: Vec<&str> = read.iter().map(|d| &*d.message.id).collect();
    assert_eq!(ids, ["1", "2"]);
    subscription.ack(&read[1]).await.expect("acknowledged");
    // A tool of NATS shows it, with the reason.
    let stream = context.get_stream("others-dead-orders@readers").await;
    let letter = stream
        .expect("there")
        .get_raw_message(1)
        .await
        .expect("kept");
    assert_eq!(&letter.payload[..], b"no event at all");
    let why = letter
        .headers
        .get("Ieum-Reason")
        .expect("a reason")
        .as_str();
    assert!(why.contains("CloudEvent"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_publish_others_read_by_the_binding() {
    let client = client(shared()).await;
    let mut heard = client.subscribe("plain.topic.>").await.expect("subscribed");
    let engine = engine(shared(), "/plain").await;
    let placed = message("1", "주문 1").with_extension("flow", "orchestrated");
    engine
        .publisher()
        .publish("order.events", &[placed])
        .await
        .expect("published");
    let heard = heard.next().await.expect("a message");
    assert_eq!(heard.subject.as_str(), "plain.topic.order-events");
    let headers = heard.headers.expect("headers");
    let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    for (name, wanted) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "thing.happened"),
        ("ce-partitionkey", "%EC%A3%BC%EB%AC%B8%201"),
        ("ce-flow", "orchestrated"),
    ] {
        assert_eq!(header(name).as_deref(), Some(wanted), "{name}");
    }
    assert_eq!(&heard.payload[..], br#"{"n":"1"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_and_goes_on_by_itself() {
    let engine = engine(shared(), "/full?max-bytes=20KiB").await;
    let publisher = engine.publisher();
    let mut stored = 0;
    let full = loop {
        let one = [message(&stored.to_string(), "a")];
        match publisher.publish("things", &one).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "it is never full");
    };
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    let context = async_nats::jetstream::new(client(shared()).await);
    let stream = context.get_stream("full-things").await.expect("there");
    stream.purge().await.expect("emptied");
    let again = [message(&stored.to_string(), "a")];
    publisher
        .publish("things", &again)
        .await
        .expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_bounded_and_room_comes_back() {
    let engine = engine(shared(), "/bounded?parked=3").await;
    let publisher = engine.publisher();
    let batch: Vec<_> = (1..=5)
        .map(|n: u32| message(&n.to_string(), "bad"))
        .collect();
    publisher
        .publish("things", &batch)
        .await
        .expect("published");
    let mut subscription = subscribe(&engine, "things").await;
    let read = next(&mut subscription, 5).await;
    for delivery in &read[..3] {
        subscription
            .dead_letter(delivery, "no")
            .await
            .expect("room");
    }
    let full = subscription
        .dead_letter(&read[3], "no")
        .await
        .expect_err("full");
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    let filter = DeadLetterFilter::default();
    let letters = engine
        .inspect()
        .dead_letters(&filter, 10)
        .await
        .expect("listed");
    assert_eq!(letters[0].reason, DeadLetterReason::GaveUp("no".to_owned()));
    assert_eq!(
        letters[2].reason,
        DeadLetterReason::Behind(read[0].position)
    );
    // An operator empties the stream with a tool of NATS.
    let context = async_nats::jetstream::new(client(shared()).await);
    let stream = context.get_stream("bounded-dead-things@readers").await;
    stream.expect("there").purge().await.expect("emptied");
    subscription
        .dead_letter(&read[4], "no")
        .await
        .expect("room again");
    let letters = engine
        .inspect()
        .dead_letters(&filter, 10)
        .await
        .expect("listed");
    let kept: Vec<&str> = letters.iter().map(|l| &*l.message.id).collect();
    assert_eq!(kept, ["4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_room_is_told_as_full() {
    let small = "jetstream { store_dir: \"STORE\", max_file_store: 64KB }";
    let server = Nats::with(small).expect("nats-server");
    let engine = engine(&server, "").await;
    let publisher = engine.publisher();
    let mut number = 0;
    let full = loop {
        let batch: Vec<_> = (0..50)
            .map(|n| message(&format!("{number}-{n}"), &n.to_string()))
            .collect();
        if let Err(error) = publisher.publish("things", &batch).await {
            break error;
        }
        number += 1;
        assert!(number < 1_000, "it is never full");
    };
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
}
