//! The adapters pass the suites of their ports: nothing is lost between the typed call and the
//! engine behind the API, neither values nor errors.

use std::sync::Arc;

use crate::stub::Stub;
use ieum_eventstore::conformance::Subject;
use ieum_eventstore::log_conformance;
use ieum_messaging::conformance::{Engine, run_topics, topics_names};
use ieum_testkit::conformance::record;

async fn log() -> Subject {
    let Stub {
        platform, store, ..
    } = Stub::start().await;
    Subject {
        store: platform.event_store(),
        checkpoints: platform.checkpoints(),
        fences: platform.fences(),
        begin_incarnation: Box::new(move || {
            store.begin_incarnation();
            Box::pin(async {})
        }),
        keep: Box::new(platform),
    }
}

log_conformance!(log(), "ieum (remote)");

#[tokio::test]
async fn topics_keep_their_promises_over_http() {
    let report = run_topics(async || {
        let platform = Arc::new(Stub::start().await.platform);
        Engine {
            publisher: platform.publisher(),
            groups: platform.groups(),
            subscriber: platform.subscriber(),
            inspect: platform.inspect(),
        }
    });
    let report = report.await;
    record(
        "topics",
        "ieum (remote)",
        &report.passed,
        &report.failed,
        &[],
    );
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, topics_names());
}
