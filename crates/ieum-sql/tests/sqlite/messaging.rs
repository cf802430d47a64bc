//! The suites of the messaging ports, on files.

use std::sync::Arc;

use ieum_base::Clock;
use ieum_messaging::conformance::{
    Engine, Outbox, outbox_names, run_outbox, run_topics, topics_names,
};
use ieum_sql::sqlite::{Config, Database, Log, Topics, outbox, topics};
use ieum_testkit::TempFolder;
use ieum_testkit::conformance::record;

#[tokio::test]
async fn topics_keep_the_promises_of_the_ports() {
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    let report = run_topics(async || {
        let topics = Arc::new(Topics::new(log.clone(), topics::Config::default()));
        Engine {
            publisher: Arc::clone(&topics) as _,
            groups: Arc::clone(&topics) as _,
            subscriber: Arc::clone(&topics) as _,
            inspect: topics,
        }
    });
    let report = report.await;
    record("topics", "SQLite", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, topics_names());
}

#[tokio::test]
async fn the_outbox_keeps_the_promises_of_its_port() {
    let folder = TempFolder::new().expect("a folder");
    let report = run_outbox(async || {
        let name = format!("{}.db", Clock::system().new_id());
        let path = folder.path().join(name);
        let database = Database::open(path, outbox::MIGRATIONS).expect("opens");
        let store = outbox::Store::new(database.clone());
        Outbox {
            store: Arc::new(store),
            add: Box::new(move |topic, message| {
                let database = database.clone();
                Box::pin(async move {
                    let added = database.write(move |tx| outbox::publish(tx, &topic, &message));
                    added.await.expect("publishes");
                })
            }),
        }
    });
    let report = report.await;
    record("outbox", "SQLite", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, outbox_names());
}
