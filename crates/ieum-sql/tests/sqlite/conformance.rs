//! The log's suite on a file, and on a database in memory.

use ieum_eventstore::conformance::{BeginIncarnation, Subject};
use ieum_sql::sqlite::{Config, Location, Log};

use ieum_testkit::TempFolder;

fn subject(location: Location, keep: Option<TempFolder>) -> Subject {
    let log = Log::open(location, Config::default()).expect("opens");
    let same = log.clone();
    let begin: BeginIncarnation = Box::new(move || {
        let log = same.clone();
        Box::pin(async move {
            log.begin_incarnation().await.expect("begins");
        })
    });
    Subject::new(log, begin, keep)
}

mod on_a_file {
    use super::{Subject, TempFolder, subject};

    async fn open() -> Subject {
        let folder = TempFolder::new().expect("a folder");
        subject(folder.path().join("log.db").into(), Some(folder))
    }

    ieum_eventstore::log_conformance!(open());
}

mod in_memory {
    use super::{Location, Subject, subject};

    async fn open() -> Subject {
        subject(Location::Memory, None)
    }

    ieum_eventstore::log_conformance!(open());
}
