//! The writer: one transaction for many, nothing half, nothing lost.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use ieum_eventstore::{
    Append, EventStore, Expect, Filter, NewEvent, Position, StreamName, Version,
};
use ieum_sql::sqlite::{Config, Database, Location, Log, Migration, Tx};
use ieum_sql::{Error, ErrorKind};

use ieum_testkit::TempFolder;

const NOTES: &[Migration] = &[Migration {
    component: "notes",
    version: 1,
    sql: "CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT) STRICT",
}];

fn insert(tx: &Tx<'_>, n: u32, text: &str) -> Result<u32, Error> {
    tx.execute("INSERT INTO notes (n, text) VALUES (?1, ?2)", (n, text))?;
    Ok(n)
}

async fn numbers(database: &Database) -> Vec<u32> {
    let read = database.read(|connection| {
        let mut statement = connection.prepare("SELECT n FROM notes ORDER BY n")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
    });
    read.await.expect("reads")
}

fn event() -> NewEvent {
    NewEvent::new(ieum_base::Clock::system().new_id(), "x", &"some facts").expect("an event")
}

fn stream(name: &str) -> StreamName {
    name.parse().expect("a name")
}

#[tokio::test]
async fn one_batch_keeps_what_succeeded_and_forgets_the_rest() {
    for location in [None, Some(Location::Memory)] {
        let folder = TempFolder::new().expect("a folder");
        let location = location.unwrap_or_else(|| folder.path().join("notes.db").into());
        let database = Database::open(location, NOTES).expect("opens");
        let writes = (0..30_u32).map(|n| {
            database.write(move |tx| {
                insert(tx, n, "x")?;
                match n % 3 {
                    1 => Err(Error::new(ErrorKind::Invalid, "changed its mind")),
                    2 => panic!("a planted defect"),
                    _ => Ok(n),
                }
            })
        });
        let outcomes = join_all(writes).await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let kind = outcome.map_err(|error| error.kind());
            let expected = match n % 3 {
                1 => Err(ErrorKind::Invalid),
                2 => Err(ErrorKind::Internal),
                _ => Ok(u32::try_from(n).expect("small")),
            };
            assert_eq!(kind, expected);
        }
        let kept: Vec<u32> = (0..30).filter(|n| n % 3 == 0).collect();
        assert_eq!(numbers(&database).await, kept);
    }
}

#[tokio::test]
async fn a_nested_piece_is_forgotten_alone() {
    let database = Database::in_memory(NOTES).expect("opens");
    let written = database.write(|tx| {
        insert(tx, 1, "x")?;
        let refused = tx.nested(|| {
            insert(tx, 2, "x")?;
            tx.nested(|| insert(tx, 3, "x"))?;
            Err::<(), _>(Error::new(ErrorKind::Invalid, "no"))
        });
        assert!(refused.is_err());
        tx.nested(|| insert(tx, 4, "x"))
    });
    written.await.expect("writes");
    assert_eq!(numbers(&database).await, [1, 4]);
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_whole_or_not_there() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = Database::open(&path, NOTES).expect("opens");
    for n in 0..50 {
        let write = database.write(move |tx| {
            insert(tx, 2 * n, "x")?;
            insert(tx, 2 * n + 1, "x")
        });
        // Polled once, then dropped.
        let polled = futures_util::FutureExt::now_or_never(write);
        assert!(polled.is_none_or(|done| done.is_ok()));
    }
    drop(database);
    let database = Database::open(&path, NOTES).expect("opens again at once");
    let numbers = numbers(&database).await;
    assert!(numbers.len().is_multiple_of(2));
}

#[tokio::test]
async fn a_reader_sees_one_snapshot() {
    let folder = TempFolder::new().expect("a folder");
    let database = Database::open(folder.path().join("notes.db"), NOTES).expect("opens");
    let (begun, begin) = tokio::sync::oneshot::channel();
    let (go_on, waiting) = std::sync::mpsc::channel();
    let read = database.read(move |connection| {
        let count =
            || connection.query_row("SELECT count(*) FROM notes", [], |r| r.get::<_, u32>(0));
        let before = count()?;
        let _ = begun.send(());
        let _ = waiting.recv();
        Ok::<_, Error>((before, count()?))
    });
    let write = async {
        begin.await.expect("begun");
        database
            .write(|tx| insert(tx, 1, "x"))
            .await
            .expect("writes beside the reader");
        go_on.send(()).expect("it waits");
    };
    let (counts, ()) = futures_util::join!(read, write);
    assert_eq!(counts.expect("reads"), (0, 0));
    assert_eq!(numbers(&database).await, [1]);
}

#[tokio::test]
async fn h18_a_full_disk_is_refused_and_resumes() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let limited = Config {
        max_pages: Some(24),
        ..Config::default()
    };
    let database = Database::open_with(&path, NOTES, limited).expect("opens");
    let text: Arc<str> = "x".repeat(3_000).into();
    let add = |n: u32| {
        let text = Arc::clone(&text);
        database.write(move |tx| insert(tx, n, &text))
    };
    let mut acknowledged = Vec::new();
    let full = loop {
        let outcomes = join_all((0..8).map(|k| add(8 * acknowledged.len() as u32 + k))).await;
        let (written, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        acknowledged.extend(written.into_iter().flatten());
        if let Some(refused) = refused.into_iter().find_map(Result::err) {
            break refused;
        }
    };
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    assert!(full.retry().is_worthwhile());
    acknowledged.sort_unstable();
    assert_eq!(
        numbers(&database).await,
        acknowledged,
        "reads go on, and nothing else is there"
    );
    let freed = database.write(|tx| Ok::<_, Error>(tx.execute("DELETE FROM notes", [])?));
    freed.await.expect("frees");
    add(1_000).await.expect("resumes by itself");
    assert_eq!(numbers(&database).await, [1_000]);
}

#[tokio::test]
async fn h18_the_write_ahead_log_stays_bounded() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let config = Config {
        checkpoint_pages: 20,
        restart_pages: 40,
        ..Config::default()
    };
    let database = Database::open_with(&path, NOTES, config).expect("opens");
    let text: Arc<str> = "x".repeat(3_000).into();
    for n in 0..2_000 {
        let text = Arc::clone(&text);
        database
            .write(move |tx| insert(tx, n, &text))
            .await
            .expect("writes");
    }
    let wal = fs::metadata(folder.path().join("notes.db-wal"))
        .expect("is there")
        .len();
    let written = 2_000 * 3_000;
    assert!(
        wal < written / 2,
        "{wal} bytes of write-ahead log after {written} bytes of rows"
    );
}

#[tokio::test]
async fn h18_a_reader_that_never_ends_stops_writes_at_the_bound() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let config = Config {
        checkpoint_pages: 10,
        restart_pages: 20,
        max_wal_pages: 60,
        busy_timeout: std::time::Duration::from_millis(1),
        ..Config::default()
    };
    let database = Database::open_with(&path, NOTES, config).expect("opens");
    database
        .write(|tx| insert(tx, 0, "x"))
        .await
        .expect("writes");
    let reader = rusqlite::Connection::open(&path).expect("opens");
    reader
        .execute_batch("BEGIN; SELECT * FROM notes")
        .expect("holds a snapshot");
    let text: Arc<str> = "x".repeat(3_000).into();
    let mut n = 1;
    let full = loop {
        let text = Arc::clone(&text);
        n += 1;
        match database.write(move |tx| insert(tx, n, &text)).await {
            Ok(_) => assert!(n < 10_000, "the write-ahead log has no bound"),
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    assert!(full.to_string().contains("reader"), "{full}");
    drop(reader);
    let resumed = database.write(move |tx| insert(tx, 20_000, "x")).await;
    resumed.expect("resumes by itself");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_copy_of_the_files_at_any_moment() {
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    let stop = AtomicBool::new(false);
    let write = async {
        let mut acknowledged = 0;
        while !stop.load(Ordering::Relaxed) {
            let append = Append::to(
                stream("a-1"),
                Expect::Version(Version(acknowledged)),
                vec![event()],
            );
            acknowledged = log.append(append).await.expect("appends").position.0;
            tokio::task::yield_now().await;
        }
    };
    let copy = async {
        for round in 0..10 {
            let before = log.head().await.expect("head").position;
            // As a crash leaves it: the file as it is, then its log as it is.
            for suffix in ["", "-wal"] {
                let from = folder.path().join(format!("log.db{suffix}"));
                let to = folder.path().join(format!("copy-{round}.db{suffix}"));
                fs::copy(from, to).expect("copies");
            }
            let path = folder.path().join(format!("copy-{round}.db"));
            let copy = Log::open(path, Config::default()).expect("opens");
            let events = copy
                .read_all(Position::START, &Filter::default(), 10_000)
                .await;
            let events = events.expect("reads").events;
            assert!(
                events.len() as u64 >= before.0,
                "an acknowledged event is lost"
            );
            assert!(
                events
                    .iter()
                    .zip(1..)
                    .all(|(event, n)| event.version == Version(n))
            );
        }
        stop.store(true, Ordering::Relaxed);
    };
    futures_util::join!(write, copy);
}

#[tokio::test]
async fn h18_a_torn_tail_of_the_write_ahead_log_is_cut_at_a_commit() {
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    for _ in 0..12 {
        let append = Append::to(stream("a-1"), Expect::Any, vec![event(), event()]);
        log.append(append).await.expect("appends");
    }
    let whole = fs::read(folder.path().join("log.db-wal")).expect("reads");
    let mut seen = Vec::new();
    for (n, torn) in [1, 2_000, 9_000, 30_000, 70_000].into_iter().enumerate() {
        let path = folder.path().join(format!("torn-{n}.db"));
        fs::copy(folder.path().join("log.db"), &path).expect("copies");
        let wal = folder.path().join(format!("torn-{n}.db-wal"));
        fs::write(wal, &whole[..whole.len() - torn]).expect("writes");
        let copy = Log::open(path, Config::default()).expect("opens");
        let page = copy
            .read_all(Position::START, &Filter::default(), 100)
            .await;
        let page = page.expect("reads");
        assert_eq!(page.events.len() as u64, page.head.position.0);
        assert!(page.events.len().is_multiple_of(2), "half an append");
        seen.push(page.events.len());
    }
    assert!(seen.is_sorted_by(|more, less| more >= less), "{seen:?}");
    assert!(seen[0] >= 22 && seen[4] < 22, "{seen:?}");
}

#[tokio::test]
async fn a_changed_byte_is_seen_at_the_next_read() {
    use ieum_eventstore::ErrorKind as Log_;
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    for n in 1..=8 {
        let append = Append::to(stream(&format!("a-{n}")), Expect::NoStream, vec![event()]);
        log.append(append).await.expect("appends");
    }
    let damages = [
        "UPDATE ieum_events SET data = replace(data, 'some', 'same') WHERE position = 1",
        "UPDATE ieum_events SET metadata = '{\"tenant\":\"x\"}' WHERE position = 2",
        "UPDATE ieum_events SET recorded_at = recorded_at + 1 WHERE position = 3",
        "UPDATE ieum_events SET type = 'y' WHERE position = 4",
        "UPDATE ieum_events SET id = randomblob(16) WHERE position = 5",
        "UPDATE ieum_events SET crc = crc + 1 WHERE position = 6",
        "UPDATE ieum_events SET tags = '[\"t\"]' WHERE position = 7",
        "UPDATE ieum_events SET stream = 'a-9' WHERE position = 8",
    ];
    for (damage, before) in damages.into_iter().zip(0..) {
        let damaged = log
            .database()
            .write(move |tx| Ok::<_, Error>(tx.execute(damage, [])?));
        assert_eq!(damaged.await.expect("damages"), 1);
        let read = log.read_all(Position(before), &Filter::default(), 1).await;
        let error = read.expect_err("must be seen");
        assert_eq!(error.kind(), &Log_::Corrupt, "{damage}");
        assert!(
            error.to_string().contains(&format!("event {}", before + 1)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn h35_a_position_is_never_used_twice_after_the_tail_was_deleted() {
    let folder = TempFolder::new().expect("a folder");
    let log = Log::open(folder.path().join("log.db"), Config::default()).expect("opens");
    let append = |expect| log.append(Append::to(stream("a-1"), expect, vec![event()]));
    append(Expect::Any).await.expect("appends");
    append(Expect::Any).await.expect("appends");
    let deleted = log
        .database()
        .write(|tx| Ok::<_, Error>(tx.execute("DELETE FROM ieum_events WHERE position = 2", [])?));
    deleted.await.expect("deletes");
    assert_eq!(log.head().await.expect("head").position, Position(2));
    let appended = append(Expect::Version(Version(2))).await.expect("appends");
    assert_eq!(appended.position, Position(3));
}
