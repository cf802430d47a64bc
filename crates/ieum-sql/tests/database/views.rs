//! A view in a service's database, folded from a log elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use ieum_base::{Clock, EngineUrl, Stop};
use ieum_eventstore::projection::{self, Projection};
use ieum_eventstore::{
    Append, Checkpoint, ErrorKind, Event, EventStore, Expect, Filter, NewEvent, Position, Result,
};
use ieum_sql::sqlite::{Config, Location, Log};
use ieum_sql::{Database, Migration, view};

use crate::fixture::{both, number, open_with};

both![
    a_view_catches_up_and_counts_each_event_once,
    a_view_follows_and_a_failure_repeats_nothing,
    h35_a_view_of_a_log_that_was_replaced_stops,
    of_two_runners_that_begin_at_once_one_is_told,
];

const TABLE: Migration = Migration {
    component: "sums",
    version: 1,
    sqlite: "CREATE TABLE sums (stream TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT",
    postgres: "CREATE TABLE sums (stream TEXT PRIMARY KEY, total BIGINT NOT NULL)",
};

/// The sum of each stream's events. Fails once before the event at `stumble`.
struct Sums {
    database: Database,
    stumble: Option<Position>,
}

#[async_trait]
impl Projection for Sums {
    fn name(&self) -> &str {
        "sums"
    }

    fn filter(&self) -> Filter {
        Filter::category("account")
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
        self.database
            .read(|reader| view::checkpoint(reader, "sums"))
            .await
    }

    async fn apply(
        &mut self,
        events: &[Event],
        expected: Option<Checkpoint>,
        to: Checkpoint,
    ) -> Result<()> {
        let (events, stumble) = (events.to_vec(), self.stumble.take());
        self.database
            .write(move |tx| {
                for event in &events {
                    if stumble == Some(event.position) {
                        let planted = ErrorKind::Unavailable;
                        return Err(ieum_eventstore::Error::new(planted, "planted"));
                    }
                    let amount: i64 = event.decode().expect("a number");
                    tx.execute(
                        "INSERT INTO sums VALUES ($1, $2) ON CONFLICT (stream) \
                         DO UPDATE SET total = sums.total + excluded.total",
                        (event.stream.as_str(), amount),
                    )?;
                }
                view::advance(tx, "sums", expected, to)
            })
            .await
    }
}

impl Sums {
    async fn new(url: &EngineUrl) -> Self {
        Self {
            database: open_with(url, &[TABLE], Clock::system()).await,
            stumble: None,
        }
    }

    /// The same view, run by somebody else.
    fn again(&self) -> Self {
        Self {
            database: self.database.clone(),
            stumble: None,
        }
    }

    async fn total(&self) -> i64 {
        number(&self.database, "SELECT coalesce(sum(total), 0) FROM sums").await
    }
}

async fn book(log: &Log, stream: &str, amount: i64) {
    let id = Clock::system().new_id();
    let event = NewEvent::new(id, "booked", &amount).expect("an event");
    let append = Append::to(stream.parse().expect("a name"), Expect::Any, vec![event]);
    log.append(append).await.expect("appends");
}

async fn booked() -> Log {
    let log = Log::open(Location::Memory, Config::default()).expect("opens");
    for amount in 1..=10 {
        book(&log, &format!("account-{}", amount % 3), amount).await;
        book(&log, "other-1", 1_000).await;
    }
    log
}

async fn a_view_catches_up_and_counts_each_event_once(url: EngineUrl) {
    let (log, mut sums) = (booked().await, Sums::new(&url).await);
    for _ in 0..2 {
        let position = projection::catch_up(&log, &mut sums)
            .await
            .expect("catches up");
        assert_eq!((position, sums.total().await), (Position(20), 55));
    }
    let mut slower = sums.again();
    let head = log.head().await.expect("head");
    let late = slower.apply(&[], None, head.checkpoint(Position(1))).await;
    assert_eq!(
        late.expect_err("late").kind(),
        &ErrorKind::Fenced { actual: 20 }
    );
}

async fn a_view_follows_and_a_failure_repeats_nothing(url: EngineUrl) {
    let (log, mut sums) = (booked().await, Sums::new(&url).await);
    sums.stumble = Some(Position(7));
    let (watched, stop) = (sums.again(), Stop::new());
    let store: Arc<dyn EventStore> = Arc::new(log.clone());
    let run = projection::run(store, &mut sums, &stop);
    let rest = async {
        book(&log, "account-1", 45).await;
        while watched.total().await != 100 {
            tokio::task::yield_now().await;
        }
        stop.request();
    };
    let (ended, ()) = futures_util::join!(run, rest);
    ended.expect("stops in peace");
    assert_eq!(watched.total().await, 100);
}

async fn h35_a_view_of_a_log_that_was_replaced_stops(url: EngineUrl) {
    let (log, mut sums) = (booked().await, Sums::new(&url).await);
    projection::catch_up(&log, &mut sums)
        .await
        .expect("catches up");
    log.begin_incarnation().await.expect("begins");
    let replaced = projection::catch_up(&log, &mut sums).await;
    assert_eq!(
        replaced.expect_err("replaced").kind(),
        &ErrorKind::ForeignCheckpoint
    );
    let store: Arc<dyn EventStore> = Arc::new(log);
    let ended = projection::run(store, &mut sums, &Stop::new()).await;
    assert_eq!(
        ended.expect_err("replaced").kind(),
        &ErrorKind::ForeignCheckpoint
    );
    let rebuilt = sums.database.write(|tx| {
        tx.execute("DELETE FROM sums", ())?;
        view::forget(tx, "sums")
    });
    rebuilt.await.expect("forgets");
    assert_eq!(sums.checkpoint().await.expect("reads"), None);
}

async fn of_two_runners_that_begin_at_once_one_is_told(url: EngineUrl) {
    let sums = Sums::new(&url).await;
    let head = booked().await.head().await.expect("a head");
    let (first, second) = (head.checkpoint(Position(1)), head.checkpoint(Position(2)));
    for (expected, to) in [(None, first), (Some(first), second)] {
        let runners = (0..8).map(|_| {
            let moved = sums
                .database
                .write(move |tx| view::advance(tx, "sums", expected, to));
            async { moved.await.is_ok() }
        });
        let moved = futures_util::future::join_all(runners).await;
        assert_eq!(moved.into_iter().filter(|moved| *moved).count(), 1);
    }
}
