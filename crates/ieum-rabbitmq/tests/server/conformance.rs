//! The suite for brokers.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_messaging::DeadLetterReason;
use ieum_messaging::conformance::{BrokerUnderTest, Connection, broker_names, run_broker};
use ieum_rabbitmq::Config;

use super::server::{server, url};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_keeps_the_promises_of_brokers() {
    let url = url();
    let letters = url.clone();
    let engine = BrokerUnderTest::new(
        move || {
            let url = url.clone();
            Box::pin(async move { connection(&url).await })
        },
        move |topic, group| {
            let url = letters.clone();
            Box::pin(async move { dead_letters(&url, &topic, &group).await })
        },
    )
    .with_outage(|| Box::pin(async { tokio::task::block_in_place(crash) }))
    .without(
        "what_was_acknowledged_stays_acknowledged_over_an_outage",
        "acknowledgements are not confirmed: after a crash the last ones may come again",
    )
    .freed_within(Duration::from_secs(5))
    .only(std::env::var("IEUM_CASE").ok());
    let report = run_broker(engine).await;
    let (passed, failed, skipped) = (&report.passed, &report.failed, &report.skipped);
    ieum_testkit::conformance::record("broker", "RabbitMQ", passed, failed, skipped);
    assert_eq!(report.failed, []);
    let left_out: Vec<&str> = report.skipped.iter().map(|(case, _)| *case).collect();
    let expected = [
        "publishing_again_adds_nothing",
        "publishing_a_batch_again_adds_what_was_missing",
        "a_new_group_gets_the_topic_from_its_beginning",
        "what_was_acknowledged_stays_acknowledged_over_an_outage",
    ];
    assert_eq!(left_out, expected);
    assert_eq!(report.passed.len() + left_out.len(), broker_names().len());
}

/// Kills the server as a power cut of its process would, and starts it again on its data.
fn crash() {
    let mut server = server();
    server.kill().expect("kills");
    server.start_again().expect("starts again");
}

async fn connection(url: &EngineUrl) -> Connection {
    let config = Config {
        wait: Duration::from_secs(2),
        ..Config::default()
    };
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_rabbitmq::connect_with(url, config, &Clock::system(), &tasks).await;
    Connection {
        broker: broker.expect("connects"),
        process: Box::new(tasks),
    }
}

async fn dead_letters(url: &EngineUrl, topic: &str, group: &str) -> Vec<(String, String)> {
    let letters = ieum_rabbitmq::dead_letters(url, &Clock::system(), topic, group, 100).await;
    let letters = letters.expect("a list").into_iter().map(|letter| {
        let why = match letter.reason {
            DeadLetterReason::GaveUp(why) => why,
            DeadLetterReason::Behind(position) => format!("waits behind {position}"),
        };
        (letter.message.id, why)
    });
    letters.collect()
}
