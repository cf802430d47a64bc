//! What goes wrong, and what is said about it.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{Clock, EngineUrl, Level, Secret, Stop, Tasks};
use ieum_messaging::{ErrorKind, Message};
use ieum_rabbitmq::{Config, connect_with};
use ieum_testkit::engines::RabbitMq;
use serde_json::json;

async fn refusal(url: &EngineUrl) -> (ErrorKind, String) {
    let tasks = Tasks::new(Stop::new());
    let error = ieum_rabbitmq::connect(url, &Clock::system(), &tasks)
        .await
        .expect_err("refused");
    (error.kind(), error.to_string())
}

/// A server of its own: the shared one is killed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_url_is_refused_with_what_to_do_and_without_its_password() {
    let server = RabbitMq::start().expect("RabbitMQ starts");
    let url: EngineUrl = server.url().parse().expect("a URL");
    let wrong = url.clone().with_password(Secret::new("wr0ng".to_owned()));
    let (kind, why) = refusal(&wrong).await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(why.contains("refuses the user `ieum`"), "{why}");
    assert!(!why.contains("wr0ng"), "{why}");

    let (kind, why) = refusal(&url.clone().with_path("nowhere")).await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(why.contains("no virtual host `nowhere`"), "{why}");
    assert!(
        why.contains("add_vhost") && !why.contains("s3cret"),
        "{why}"
    );

    let free = ieum_testkit::free_port().expect("a port");
    let nobody: EngineUrl = format!("amqp://ieum:s3cret@127.0.0.1:{free}")
        .parse()
        .expect("a URL");
    let (kind, why) = refusal(&nobody).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(
        why.contains("check host and port") && !why.contains("s3cret"),
        "{why}"
    );
    let (kind, _) = refusal(&"amqp://h?queues=fast".parse().expect("a URL")).await;
    assert_eq!(kind, ErrorKind::Invalid);

    let found = ieum_rabbitmq::examine(&url).await;
    let worst = found.iter().map(|finding| finding.level).max();
    assert_eq!(worst, Some(Level::Weak), "{found:?}");
    let said = |part: &str| found.iter().any(|f| f.what.contains(part));
    assert!(
        said("version 3.") && said("no memory or disk alarm"),
        "{found:?}"
    );
    let broken = ieum_rabbitmq::examine(&nobody).await;
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].level, Level::Broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_is_said_to_be_full() {
    // No server does with so little.
    let server = RabbitMq::with("vm_memory_high_watermark.absolute = 1MB");
    let server = server.expect("RabbitMQ starts");
    let url: EngineUrl = server.url().parse().expect("a URL");
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_rabbitmq::connect(&url, &Clock::system(), &tasks)
        .await
        .expect("connects");
    let message = Message::new("/s", "1", "t", &json!(1)).expect("a message");
    // What it takes before it notices, it keeps.
    let mut refused = None;
    for _ in 0..20 {
        let published = broker
            .publisher
            .publish("things", std::slice::from_ref(&message))
            .await;
        refused = published.err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Full));
    let found = ieum_rabbitmq::examine(&url).await;
    let alarm = found.iter().find(|f| f.what.contains("alarm"));
    assert_eq!(alarm.map(|f| f.level), Some(Level::Broken), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_publishes_to_a_frozen_server_does_not_wait_for_all_others_who_do() {
    let server = RabbitMq::start().expect("RabbitMQ starts");
    let url: EngineUrl = server.url().parse().expect("a URL");
    let tasks = Tasks::new(Stop::new());
    let config = Config {
        connect_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(1),
        settling: Duration::ZERO,
        ..Config::default()
    };
    let broker = connect_with(&url, config, &Clock::system(), &tasks)
        .await
        .expect("connects");
    let message = Message::new("/s", "1", "t", &json!(1)).expect("a message");
    let messages = std::slice::from_ref(&message);
    let publish = || broker.publisher.publish("things", messages);
    publish().await.expect("published");

    server.freeze().expect("frozen");
    // From here on there is no connection, and each attempt takes its whole time.
    publish().await.expect_err("frozen");
    let all = join_all((0..60).map(|_| publish()));
    let all = tokio::time::timeout(Duration::from_secs(15), all).await;
    server.thaw().expect("thawed");
    for published in all.expect("everybody is answered") {
        assert_eq!(
            published.map_err(|error| error.kind()),
            Err(ErrorKind::Unavailable)
        );
    }
    let again = async { while publish().await.is_err() {} };
    let again = tokio::time::timeout(Duration::from_secs(15), again).await;
    again.expect("it goes on by itself");
}
