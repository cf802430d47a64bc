//! The log's suite on a file, and on a database in memory.

use std::sync::Arc;

use ieum_eventstore::conformance::{BeginIncarnation, LeaseSubject, Subject};
use ieum_sql::sqlite::{Config, Location, Log};

use ieum_testkit::TempFolder;

fn subject(location: Location, keep: Option<TempFolder>) -> Subject {
    with_leases(location, keep).log
}

fn with_leases(location: Location, keep: Option<TempFolder>) -> LeaseSubject {
    let log = Log::open(location, Config::default()).expect("opens");
    let same = log.clone();
    let begin: BeginIncarnation = Box::new(move || {
        let log = same.clone();
        Box::pin(async move {
            log.begin_incarnation().await.expect("begins");
        })
    });
    LeaseSubject {
        leases: Arc::new(log.clone()),
        log: Subject::new(log, begin, keep),
    }
}

mod on_a_file {
    use super::{LeaseSubject, Subject, TempFolder, subject, with_leases};

    async fn leases() -> LeaseSubject {
        let folder = TempFolder::new().expect("a folder");
        with_leases(folder.path().join("log.db").into(), Some(folder))
    }

    ieum_eventstore::lease_conformance!(leases(), "SQLite");

    async fn open() -> Subject {
        let folder = TempFolder::new().expect("a folder");
        subject(folder.path().join("log.db").into(), Some(folder))
    }

    ieum_eventstore::log_conformance!(open(), "SQLite");
}

mod in_memory {
    use super::{LeaseSubject, Location, Subject, subject, with_leases};

    async fn leases() -> LeaseSubject {
        with_leases(Location::Memory, None)
    }

    ieum_eventstore::lease_conformance!(leases(), "SQLite in memory");

    async fn open() -> Subject {
        subject(Location::Memory, None)
    }

    ieum_eventstore::log_conformance!(open(), "SQLite in memory");
}
