//! What goes wrong: too many calls, entries that fail, wrong keys, somebody else's messages.

use ieum_aws::{connect, dead_letters, examine};
use ieum_base::{Clock, EngineUrl, Level, Stop, Tasks};
use ieum_messaging::{Broker, Delivery, ErrorKind, Message, Subscription};

use super::server::Fake;

const PLACE: &str = "region=eu-west-1&visibility=30s&wait=1s";

async fn connected(url: &EngineUrl) -> (Broker, Tasks) {
    let tasks = Tasks::new(Stop::new());
    (
        connect(url, &Clock::system(), &tasks)
            .await
            .expect("connected"),
        tasks,
    )
}

fn message(n: usize, key: &str) -> Message {
    let message = Message::new("/s", n.to_string(), "t", &n).expect("a message");
    message.with_key(key)
}

/// Reads until `count` messages came, each acknowledged.
async fn read(subscription: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut found = Vec::new();
    while found.len() < count {
        let page = subscription.next(100).await.expect("a page");
        if let Some(last) = page.last() {
            subscription.ack(last).await.expect("acknowledged");
        }
        found.extend(page);
    }
    found
}

#[tokio::test]
async fn a_throttled_call_is_repeated() {
    let fake = Fake::start();
    let (broker, _tasks) = connected(&fake.url(PLACE)).await;
    for action in [
        "CreateTopic",
        "PublishBatch",
        "CreateQueue",
        "ReceiveMessage",
    ] {
        fake.state.throttle(action, 2);
    }
    let mut subscription = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    broker
        .publisher
        .publish("t", &[message(1, "a")])
        .await
        .expect("published");
    read(&mut *subscription, 1).await;
    assert_eq!(fake.state.calls("PublishBatch"), 3);
    fake.state.throttle("PublishBatch", 99);
    let refused = broker
        .publisher
        .publish("t", &[message(2, "a")])
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("Throttling"), "{refused}");
}

#[tokio::test]
async fn entries_that_fail_are_repeated_and_the_order_of_each_key_holds() {
    let fake = Fake::start();
    let (broker, _tasks) = connected(&fake.url(PLACE)).await;
    let mut subscription = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    // One of which SQS takes neither the letters nor the length.
    let keys = ["a", "주문 1", &"긴 키".repeat(50)];
    let messages: Vec<Message> = (0..45).map(|n| message(n, keys[n % 3])).collect();
    for (n, some) in messages.chunks(9).enumerate() {
        fake.state.fail_entries(n + 1);
        broker
            .publisher
            .publish("t", some)
            .await
            .expect("published");
    }
    fake.state.fail_entries(3);
    let read = read(&mut *subscription, 45).await;
    for key in keys {
        let of_key = |m: &&Message| m.ordering_key() == key;
        let found = read
            .iter()
            .map(|d| &d.message)
            .filter(of_key)
            .map(|m| &m.id);
        let wanted = messages.iter().filter(of_key).map(|m| &m.id);
        assert!(found.eq(wanted), "{key}");
    }
    assert!(subscription.next(1).await.expect("nothing").is_empty());
}

#[tokio::test]
async fn a_signature_that_does_not_fit_is_a_clear_error_without_the_secret() {
    let fake = Fake::start();
    let tasks = Tasks::new(Stop::new());
    let other = fake
        .url("region=eu-west-1")
        .to_string()
        .replace("AKIDFAKE:***", "AKIDX:g3heim");
    for (url, wanted) in [
        (
            fake.url_of("g3heim", PLACE),
            "correct the secret and the region",
        ),
        (
            fake.url("region=us-east-1"),
            "correct the secret and the region",
        ),
        (
            other.parse().expect("a URL"),
            "does not know the access key",
        ),
    ] {
        let error = connect(&url, &Clock::system(), &tasks)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let why = error.to_string();
        assert!(why.contains(wanted) && !why.contains("g3heim"), "{why}");
        let findings = examine(&url).await;
        assert_eq!(findings[0].level, Level::Broken);
        assert!(!format!("{findings:?}").contains("g3heim"), "{findings:?}");
    }
    let levels: Vec<Level> = examine(&fake.url(PLACE))
        .await
        .iter()
        .map(|f| f.level)
        .collect();
    assert_eq!(levels, [Level::Fine, Level::Weak]);
}

#[tokio::test]
async fn a_subscription_goes_on_when_the_endpoint_is_back() {
    let fake = Fake::start();
    let (broker, _tasks) = connected(&fake.url(PLACE)).await;
    let mut subscription = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    broker
        .publisher
        .publish("t", &[message(1, "a")])
        .await
        .expect("published");
    read(&mut *subscription, 1).await;
    fake.state.set_down(true);
    let batch = [message(2, "a")];
    let away = broker
        .publisher
        .publish("t", &batch)
        .await
        .expect_err("away");
    assert_eq!(away.kind(), ErrorKind::Unavailable);
    let away = subscription.next(1).await.expect_err("away");
    assert_eq!(away.kind(), ErrorKind::Unavailable);
    fake.state.set_down(false);
    broker
        .publisher
        .publish("t", &batch)
        .await
        .expect("published");
    assert_eq!(read(&mut *subscription, 1).await[0].message.id, "2");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable() {
    let url = "sqs://k:g3heim@127.0.0.1:9?scheme=http&region=eu-west-1"
        .parse()
        .expect("a URL");
    let error = connect(&url, &Clock::system(), &Tasks::new(Stop::new()))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("check host, port"), "{error}");
}

#[tokio::test]
async fn what_is_no_event_becomes_a_dead_letter_and_holds_up_nothing() {
    let fake = Fake::start();
    let (broker, tasks) = connected(&fake.url(PLACE)).await;
    let mut subscription = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    fake.state.write("t-g-", "no event");
    broker
        .publisher
        .publish("t", &[message(1, "a")])
        .await
        .expect("published");
    assert_eq!(read(&mut *subscription, 1).await[0].message.id, "1");
    assert_eq!(fake.state.calls("SendMessage"), 1);
    // It is no message that could be shown.
    let letters = dead_letters(&fake.url(PLACE), &Clock::system(), &tasks, "t", "g").await;
    assert_eq!(letters.expect("a list").len(), 0);
}
