//! One server for all tests of this binary, and a database of its own for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ieum_base::{Clock, EngineUrl};
use ieum_eventstore::{Append, Event, EventStore, Expect, Filter, NewEvent, Position, StreamName};
use ieum_sql::postgres::{self, Log, log};
use ieum_testkit::engines::Postgres;

static SERVER: OnceLock<Postgres> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The server that the tests of this binary share. Nobody stops it.
pub(crate) fn shared() -> &'static Postgres {
    SERVER.get_or_init(|| Postgres::start().expect("a PostgreSQL server"))
}

/// A new, empty database on the shared server, and its name.
pub(crate) fn database() -> (EngineUrl, String) {
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = shared().database(&name).expect("a database");
    (url.parse().expect("a URL"), name)
}

/// A log in a new database of the shared server.
pub(crate) async fn new_log() -> (Log, String) {
    let (url, name) = database();
    (open(&url).await, name)
}

/// The log in that database.
pub(crate) async fn open(url: &EngineUrl) -> Log {
    open_with(url, log::Config::default()).await
}

/// The same with settings.
pub(crate) async fn open_with(url: &EngineUrl, config: log::Config) -> Log {
    Log::open(url, &[], postgres::Config::default(), config)
        .await
        .expect("a log")
}

/// An event with a new id.
pub(crate) fn event() -> NewEvent {
    NewEvent::new(Clock::system().new_id(), "x", &"some facts").expect("an event")
}

/// A stream's name.
pub(crate) fn stream(name: &str) -> StreamName {
    name.parse().expect("a name")
}

/// An append of one new event.
pub(crate) fn one(to: &str, expect: Expect) -> Append {
    Append::to(stream(to), expect, vec![event()])
}

/// Everything that is in the log.
pub(crate) async fn everything(log: &Log) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |last| last.position);
        let page = log.read_all(after, &Filter::default(), 10_000).await;
        let page = page.expect("reads");
        if page.events.is_empty() {
            return events;
        }
        events.extend(page.events);
    }
}

/// Where those events stand.
pub(crate) fn positions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.position.0).collect()
}
