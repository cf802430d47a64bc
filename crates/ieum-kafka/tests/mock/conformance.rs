//! The suite for brokers.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_kafka::Config;
use ieum_messaging::DeadLetterReason;
use ieum_messaging::conformance::{BrokerUnderTest, Connection, broker_names, run_broker};
use rdkafka::mocking::MockCluster;

/// What the mock cluster cannot show, and why.
const UNPROVEN: &[(&str, &str)] = &[
    ("the_same_name_takes_over_at_once", FENCES_NOBODY),
    ("h13_a_superseded_member_is_refused", FENCES_NOBODY),
    (
        "h13_what_a_superseded_member_does_changes_nothing",
        FENCES_NOBODY,
    ),
    ("h14_two_that_share_a_name_do_not_both_work", FENCES_NOBODY),
    (
        "h30_redelivery_never_deletes_what_was_not_acknowledged",
        SLOW,
    ),
    ("a_second_member_waits_while_the_first_is_alive", SHARED),
    (
        "a_member_that_says_that_it_is_alive_keeps_its_group",
        SHARED,
    ),
];
const SLOW: &str = "each of its forty joins takes the mock cluster three seconds";
const FENCES_NOBODY: &str = "the mock cluster does not fence a static member by its successor";
const SHARED: &str = "members of a group share its partitions";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_keeps_the_promises_of_brokers() {
    let cluster = MockCluster::new(3).expect("a mock cluster");
    let url: EngineUrl = format!("kafka://{}", cluster.bootstrap_servers())
        .parse()
        .expect("a URL");
    let letters = url.clone();
    let mut engine = BrokerUnderTest::new(
        move || {
            let url = url.clone();
            Box::pin(async move { connection(&url).await })
        },
        move |topic, group| {
            let url = letters.clone();
            Box::pin(async move { dead_letters(&url, &topic, &group).await })
        },
    )
    .freed_within(Duration::from_secs(20))
    .only(std::env::var("IEUM_CASE").ok());
    for (case, why) in UNPROVEN {
        engine = engine.without(case, why);
    }
    let report = run_broker(engine).await;
    let (passed, failed, skipped) = (&report.passed, &report.failed, &report.skipped);
    ieum_testkit::conformance::record("broker", "Kafka (mock cluster)", passed, failed, skipped);
    assert_eq!(report.failed, []);
    let expected = |name: &str| {
        let unproven = UNPROVEN.iter().any(|(case, _)| *case == name);
        let outage = name.contains("outage");
        unproven || outage || NOT_PROMISED.contains(&name)
    };
    let left_out = broker_names().into_iter().filter(|name| expected(name));
    let told: Vec<&str> = report.skipped.iter().map(|(case, _)| *case).collect();
    assert_eq!(told, left_out.collect::<Vec<_>>());
    assert_eq!(report.passed.len() + told.len(), broker_names().len());
    drop(cluster);
}

/// What Kafka's capabilities leave out.
const NOT_PROMISED: [&str; 5] = [
    "publishing_again_adds_nothing",
    "publishing_a_batch_again_adds_what_was_missing",
    "h30_what_follows_a_dead_letter_waits_behind_it",
    "h30_what_an_ack_passes_on_a_parked_key_is_parked",
    "a_parked_key_stays_parked_after_a_crash",
];

async fn connection(url: &EngineUrl) -> Connection {
    let config = Config {
        wait: Duration::from_secs(2),
        session_timeout: Duration::from_secs(6),
        static_members: false,
        ..Config::default()
    };
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_kafka::connect_with(url, config, &Clock::system(), &tasks).await;
    Connection {
        broker: broker.expect("connects"),
        process: Box::new(tasks),
    }
}

async fn dead_letters(url: &EngineUrl, topic: &str, group: &str) -> Vec<(String, String)> {
    let letters = ieum_kafka::dead_letters(url, topic, group, 100).await;
    let letters = letters.expect("a list").into_iter().map(|letter| {
        let why = match letter.reason {
            DeadLetterReason::GaveUp(why) => why,
            DeadLetterReason::Behind(position) => format!("waits behind {position}"),
        };
        (letter.message.id, why)
    });
    letters.collect()
}
