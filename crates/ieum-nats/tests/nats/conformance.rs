//! The suites of the ports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ieum_base::{Clock, Stop, Tasks};
use ieum_messaging::conformance::{
    BrokerUnderTest, Connection, Engine as UnderTest, broker_names, run_broker, run_topics,
    topics_names,
};
use ieum_messaging::{DeadLetterFilter, DeadLetterReason, Inspect};
use ieum_nats::{CAPABILITIES, Config};
use ieum_testkit::conformance::record;
use ieum_testkit::engines::Nats;

use crate::server::{engine, shared, url};

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_groups_keep_their_promises() {
    let report = run_topics(async || {
        let engine = engine(shared(), "/topics").await;
        UnderTest {
            publisher: Arc::new(engine.publisher()),
            groups: Arc::new(engine.groups()),
            subscriber: Arc::new(engine.subscriber()),
            inspect: Arc::new(engine.inspect()),
        }
    });
    let report = report.await;
    let name = CAPABILITIES.engine;
    record("topics", name, &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, topics_names());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_keeps_its_promises_over_outages() {
    let server = Arc::new(Mutex::new(Nats::start().expect("nats-server")));
    let url = url(&lock(&server), "/broker?lease=2s");
    let process = url.clone();
    let connect = move || {
        let url = process.clone();
        Box::pin(async move {
            let tasks = Tasks::new(Stop::new());
            let broker = ieum_nats::connect(&url, &Clock::system(), &tasks)
                .await
                .expect("connects");
            let process = Box::new(tasks);
            Connection { broker, process }
        }) as BoxFuture<'static, Connection>
    };
    let inspected = url.clone();
    let dead_letters = move |topic: String, group: String| {
        let url = inspected.clone();
        Box::pin(async move {
            let config = Config::from_url(&url).expect("a configuration");
            let engine = ieum_nats::open(&url, config, &Clock::system())
                .await
                .expect("connects");
            let filter = DeadLetterFilter {
                topic: Some(topic),
                group: Some(group),
            };
            let letters = engine.inspect().dead_letters(&filter, 1_000).await;
            let letters = letters.expect("dead letters").into_iter();
            letters
                .map(|letter| (letter.message.id, reason(letter.reason)))
                .collect()
        }) as BoxFuture<'static, Vec<(String, String)>>
    };
    let outage = move || {
        let server = Arc::clone(&server);
        Box::pin(async move {
            let restart = move || {
                let mut server = lock(&server);
                server.kill().expect("killed");
                server.start_again().expect("started again");
            };
            tokio::task::spawn_blocking(restart)
                .await
                .expect("restarted");
        }) as BoxFuture<'static, ()>
    };
    let under_test = BrokerUnderTest::new(connect, dead_letters)
        .with_outage(outage)
        .freed_within(Duration::from_secs(6));
    let report = run_broker(under_test).await;
    let name = CAPABILITIES.engine;
    record(
        "broker",
        name,
        &report.passed,
        &report.failed,
        &report.skipped,
    );
    assert_eq!(report.failed, []);
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed, broker_names());
}

fn reason(reason: DeadLetterReason) -> String {
    match reason {
        DeadLetterReason::GaveUp(why) => why,
        DeadLetterReason::Behind(at) => format!("waits behind position {at}"),
    }
}

fn lock(server: &Mutex<Nats>) -> MutexGuard<'_, Nats> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
