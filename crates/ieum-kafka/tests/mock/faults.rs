//! The mock cluster's faults: errors of brokers, brokers that are gone.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_kafka::Config;
use ieum_messaging::{ErrorKind, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

fn messages(range: std::ops::RangeInclusive<u32>) -> Vec<Message> {
    let message = |n: u32| Message::new("/s", n.to_string(), "t", &json!(n)).expect("a message");
    range.map(|n| message(n).with_key("a")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_fail_and_vanish_cost_time_and_no_message() {
    let cluster = MockCluster::new(3).expect("a mock cluster");
    let url = format!("kafka://{}", cluster.bootstrap_servers());
    let url: EngineUrl = url.parse().expect("a URL");
    let config = Config {
        answer_timeout: Duration::from_secs(3),
        static_members: false,
        ..Config::default()
    };
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_kafka::connect_with(&url, config, &Clock::system(), &tasks).await;
    let broker = broker.expect("connects");
    let subscribed = broker
        .subscriber
        .subscribe("things", "readers", "one")
        .await;
    let mut reader = subscribed.expect("subscribes");
    broker
        .publisher
        .publish("things", &messages(1..=3))
        .await
        .expect("publishes");

    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    let late = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
    cluster.request_errors(RDKafkaApiKey::Produce, &[lost, late, lost]);
    broker
        .publisher
        .publish("things", &messages(4..=6))
        .await
        .expect("publishes");

    for id in 1..=3 {
        cluster.broker_down(id).expect("goes down");
    }
    let refused = broker.publisher.publish("things", &messages(7..=9)).await;
    assert_eq!(
        refused.expect_err("all are down").kind(),
        ErrorKind::Unavailable
    );
    for id in 1..=3 {
        cluster.broker_up(id).expect("comes up");
    }
    let mut attempts = 0;
    while broker
        .publisher
        .publish("things", &messages(7..=9))
        .await
        .is_err()
    {
        attempts += 1;
        assert!(attempts < 10, "it does not come back");
    }
    let mut firsts: Vec<String> = Vec::new();
    while firsts.last().is_none_or(|id| id != "9") {
        let page = reader.next(10).await.expect("reads");
        for delivery in &page {
            if !firsts.contains(&delivery.message.id) {
                firsts.push(delivery.message.id.clone());
            }
        }
        if let Some(last) = page.last() {
            reader.ack(last).await.expect("acknowledges");
        }
    }
    let wanted: Vec<String> = (1..=9).map(|n| n.to_string()).collect();
    assert_eq!(firsts, wanted);

    let nobody = "kafka://user:s3cret@127.0.0.1:1".parse().expect("a URL");
    let refused = ieum_kafka::connect_with(&nobody, config, &Clock::system(), &tasks).await;
    let why = refused.expect_err("nobody is there").to_string();
    assert!(
        why.contains("check hosts") && !why.contains("s3cret"),
        "{why}"
    );
}
