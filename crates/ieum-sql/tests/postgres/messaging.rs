//! The suites of the messaging ports, on a database of a real server.

use std::sync::Arc;

use ieum_messaging::conformance::{Engine, run_topics, topics_names};
use ieum_sql::postgres::topics::Config;
use ieum_testkit::conformance::record;

use super::fixture;

#[tokio::test]
async fn topics_keep_the_promises_of_the_ports() {
    let room = fixture::topics(Config::default()).await;
    let report = run_topics(async || {
        let topics = Arc::new(room.again().await);
        Engine {
            publisher: Arc::clone(&topics) as _,
            groups: Arc::clone(&topics) as _,
            subscriber: Arc::clone(&topics) as _,
            inspect: topics,
        }
    });
    let report = report.await;
    record("topics", "PostgreSQL", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, topics_names());
}
