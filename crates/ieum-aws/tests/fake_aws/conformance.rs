//! The suite for brokers.

use std::time::Duration;

use futures_util::future::join;
use ieum_aws::CAPABILITIES;
use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_messaging::conformance::{BrokerUnderTest, Connection, Report, broker_names, run_broker};
use ieum_testkit::conformance::record;

use super::server::Fake;

/// What SQS does not promise, and why.
const UNPROVEN: &[(&str, &str)] = &[
    (
        "a_large_message_comes_back",
        "a message has at most 252 KiB",
    ),
    ("messages_of_a_key_come_in_the_order_of_publishing", TEN),
    ("publishers_at_once_keep_the_order_of_each_key", TEN),
    (
        "a_subscription_goes_on_after_an_outage",
        "SQS delivers nothing of a key while a message of it is not acknowledged",
    ),
    (
        "the_same_name_takes_over_at_once",
        "SQS knows no members: what one has comes again when its visibility ends",
    ),
];
const TEN: &str = "SQS delivers at most ten messages of a key before one is acknowledged";

/// What its capabilities leave out.
const NOT_PROMISED: [&str; 4] = [
    "a_new_group_gets_the_topic_from_its_beginning",
    "h30_what_follows_a_dead_letter_waits_behind_it",
    "h30_what_an_ack_passes_on_a_parked_key_is_parked",
    "a_parked_key_stays_parked_after_a_crash",
];

/// Its forty crashes each wait for the visibility to end, so it has a shorter one.
const FORTY_CRASHES: &str = "h30_redelivery_never_deletes_what_was_not_acknowledged";

/// Ends the tasks of a process with it.
struct Process(Tasks);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.stop().request();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sns_and_sqs_keep_the_promises_of_brokers() {
    let most = async {
        let mut engine = under_test("visibility=3s&wait=2s");
        for (case, why) in UNPROVEN {
            engine = engine.without(case, why);
        }
        let elsewhere = "it runs with a shorter visibility";
        run_broker(engine.without(FORTY_CRASHES, elsewhere)).await
    };
    let crashes = under_test("visibility=1s&wait=1s").only(Some(FORTY_CRASHES.to_owned()));
    let (most, crashes) = join(most, run_broker(crashes)).await;
    let report = both(most, crashes);
    let (passed, failed, skipped) = (&report.passed, &report.failed, &report.skipped);
    record("broker", "SNS/SQS (fake endpoint)", passed, failed, skipped);
    assert_eq!(report.failed, []);
    let told: Vec<&str> = report.skipped.iter().map(|(case, _)| *case).collect();
    let is_left_out =
        |name: &&str| UNPROVEN.iter().any(|(case, _)| case == name) || NOT_PROMISED.contains(name);
    let left_out = broker_names().into_iter().filter(is_left_out);
    assert_eq!(told, left_out.collect::<Vec<_>>());
    assert_eq!(report.passed.len() + told.len(), broker_names().len());
}

fn both(mut most: Report, crashes: Report) -> Report {
    most.skipped.retain(|(case, _)| *case != FORTY_CRASHES);
    most.passed.extend(crashes.passed);
    most.failed.extend(crashes.failed);
    most
}

fn under_test(parameters: &str) -> BrokerUnderTest {
    let fake = Fake::start();
    let url = fake.url(&format!("region=eu-west-1&{parameters}"));
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
    );
    let outage = move || {
        let fake = fake.clone();
        Box::pin(async move {
            fake.state.set_down(true);
            // Nothing is waited for: this is how long it is away.
            Clock::system().sleep(Duration::from_millis(300)).await;
            fake.state.set_down(false);
        }) as _
    };
    engine
        .with_outage(outage)
        .freed_within(Duration::from_secs(8))
        .only(std::env::var("IEUM_CASE").ok())
}

async fn connection(url: &EngineUrl) -> Connection {
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_aws::connect(url, &Clock::system(), &tasks)
        .await
        .expect("connects");
    assert_eq!(broker.capabilities, CAPABILITIES);
    Connection {
        broker,
        process: Box::new(Process(tasks)),
    }
}

async fn dead_letters(url: &EngineUrl, topic: &str, group: &str) -> Vec<(String, String)> {
    let process = Process(Tasks::new(Stop::new()));
    let letters = ieum_aws::dead_letters(url, &Clock::system(), &process.0, topic, group).await;
    let letters = letters.expect("a list").into_iter();
    letters
        .map(|(message, reason)| (message.id, reason))
        .collect()
}
