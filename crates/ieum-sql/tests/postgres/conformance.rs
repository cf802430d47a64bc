//! The log's suites on a database of a real server.

use std::sync::Arc;

use ieum_eventstore::conformance::{BeginIncarnation, LeaseSubject, Subject};

use super::server::new_log;

async fn leases() -> LeaseSubject {
    let (log, _) = new_log().await;
    let same = log.clone();
    let begin: BeginIncarnation = Box::new(move || {
        let log = same.clone();
        Box::pin(async move {
            log.begin_incarnation().await.expect("begins");
        })
    });
    LeaseSubject {
        leases: Arc::new(log.clone()),
        log: Subject::new(log, begin, ()),
    }
}

async fn open() -> Subject {
    leases().await.log
}

ieum_eventstore::lease_conformance!(leases(), "PostgreSQL");
ieum_eventstore::log_conformance!(open(), "PostgreSQL");
