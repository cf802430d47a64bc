//! A view in a database of its own, folded from the log of another.

use std::sync::Arc;

use async_trait::async_trait;
use ieum_base::Stop;
use ieum_eventstore::projection::{self, Projection};
use ieum_eventstore::{
    Append, Checkpoint, ErrorKind, Event, EventStore, Expect, Filter, NewEvent, Position, Result,
};
use ieum_sql::sqlite::{Config, Database, Location, Log, Migration, view};

const TABLE: Migration = Migration {
    component: "sums",
    version: 1,
    sql: "CREATE TABLE sums (stream TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT",
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
            .read(|connection| view::checkpoint(connection, "sums"))
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
                        return Err(ieum_eventstore::Error::new(
                            ErrorKind::Unavailable,
                            "planted",
                        ));
                    }
                    let amount: i64 = event.decode().expect("a number");
                    tx.execute(
                        "INSERT INTO sums VALUES (?1, ?2) \
                         ON CONFLICT DO UPDATE SET total = total + excluded.total",
                        (event.stream.as_str(), amount),
                    )
                    .map_err(ieum_sql::Error::from)?;
                }
                view::advance(tx, "sums", expected, to)
            })
            .await
    }
}

impl Sums {
    fn new() -> Self {
        let migrations = [view::MIGRATIONS, &[TABLE]].concat();
        Self {
            database: Database::in_memory(&migrations).expect("opens"),
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
        let read = self.database.read(|connection| {
            let sum = "SELECT coalesce(sum(total), 0) FROM sums";
            Ok::<_, ieum_sql::Error>(connection.query_row(sum, [], |row| row.get(0))?)
        });
        read.await.expect("reads")
    }
}

async fn book(log: &Log, stream: &str, amount: i64) {
    let id = ieum_base::Clock::system().new_id();
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

#[tokio::test]
async fn a_view_catches_up_and_counts_each_event_once() {
    let (log, mut sums) = (booked().await, Sums::new());
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

#[tokio::test]
async fn a_view_follows_and_a_failure_repeats_nothing() {
    let (log, mut sums) = (booked().await, Sums::new());
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

#[tokio::test]
async fn h35_a_view_of_a_log_that_was_replaced_stops() {
    let (log, mut sums) = (booked().await, Sums::new());
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
        tx.execute("DELETE FROM sums", [])
            .map_err(ieum_sql::Error::from)?;
        view::forget(tx, "sums")
    });
    rebuilt.await.expect("forgets");
    assert_eq!(sums.checkpoint().await.expect("reads"), None);
}
