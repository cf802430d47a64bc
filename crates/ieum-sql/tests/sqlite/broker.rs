//! The suite for brokers, on SQLite's topics.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Backoff;
use ieum_messaging::conformance::{BrokerUnderTest, Connection, broker_names, run_broker};
use ieum_messaging::{
    Broker, DeadLetterFilter, DeadLetterReason, GroupConfig, GroupSubscriber, Groups, Inspect,
};
use ieum_sql::sqlite::{Config, Log, Topics, topics};
use ieum_testkit::TempFolder;

#[tokio::test]
async fn topics_keep_the_promises_of_brokers() {
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    let lease = Duration::from_millis(900);
    let settings = topics::Config {
        lease,
        ..topics::Config::default()
    };
    let topics = Topics::new(log, settings);
    let letters = topics.clone();
    let engine = BrokerUnderTest::new(
        move || {
            let topics = topics.clone();
            Box::pin(async { connection(topics) })
        },
        move |topic, group| {
            let topics = letters.clone();
            Box::pin(async move { dead_letters(&topics, topic, group).await })
        },
    )
    .freed_within(lease * 3);
    let report = run_broker(engine).await;
    ieum_testkit::conformance::record(
        "broker",
        "SQLite",
        &report.passed,
        &report.failed,
        &report.skipped,
    );
    assert_eq!(report.failed, []);
    let is_left_out = |name: &&str| report.skipped.iter().any(|(case, _)| case == name);
    let left_out: Vec<&str> = broker_names().into_iter().filter(is_left_out).collect();
    assert!(
        left_out.iter().all(|name| name.contains("outage")),
        "{left_out:?}"
    );
    assert_eq!(report.passed.len() + left_out.len(), broker_names().len());
}

/// What one more process has of the topics: they are in one process only, so all share them.
fn connection(topics: Topics) -> Connection {
    let config = GroupConfig {
        wait: Duration::from_secs(1),
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(100)),
        patience: Duration::from_secs(1),
    };
    let groups: Arc<dyn Groups> = Arc::new(topics.clone());
    Connection {
        broker: Broker {
            publisher: Arc::new(topics),
            subscriber: Arc::new(GroupSubscriber::new(groups).with_config(config)),
            capabilities: topics::CAPABILITIES,
        },
        process: Box::new(()),
    }
}

async fn dead_letters(topics: &Topics, topic: String, group: String) -> Vec<(String, String)> {
    let filter = DeadLetterFilter {
        topic: Some(topic),
        group: Some(group),
    };
    let letters = topics.dead_letters(&filter, 100).await.expect("a list");
    let letters = letters.into_iter().map(|letter| {
        let why = match letter.reason {
            DeadLetterReason::GaveUp(why) => why,
            DeadLetterReason::Behind(position) => format!("waits behind {position}"),
        };
        (letter.message.id, why)
    });
    letters.collect()
}
