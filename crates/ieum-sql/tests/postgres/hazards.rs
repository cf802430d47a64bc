//! What breaks logs on PostgreSQL, hazard by hazard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{Clock, EngineUrl, Rng};
use ieum_eventstore::{Append, ErrorKind, EventStore, Expect, Filter, Position, Version};
use ieum_sql::postgres::{self, Log, Pool, log, tokio_postgres};
use tokio::time::Instant;

use super::server::{
    database, event, everything, new_log, one, open, open_with, positions, shared, stream,
};

async fn pool(url: &EngineUrl) -> Pool {
    postgres::connect(url, log::MIGRATIONS, postgres::Config::default())
        .await
        .expect("a pool")
}

#[tokio::test]
async fn h01_who_takes_the_second_place_cannot_commit_first() {
    let (log, _) = new_log().await;
    let mut client = log.pool().get().await.expect("a connection");
    let first = client.transaction().await.expect("begins");
    let clock = Clock::system();
    let taken = log::append_in(&first, &one("a-1", Expect::Any), &clock).await;
    assert_eq!(taken.expect("takes its place").position, Position(1));
    let mut second = Box::pin(log.append(one("b-1", Expect::Any)));
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(waited.is_err(), "the second committed before the first");
    assert_eq!(everything(&log).await.len(), 0, "a reader sees neither");
    first.commit().await.expect("commits");
    assert_eq!(second.await.expect("appends").position, Position(2));
    let events = everything(&log).await;
    assert_eq!(positions(&events), [1, 2]);
    assert_eq!(events[0].stream, stream("a-1"));
}

#[tokio::test]
async fn h01_no_reader_skips_an_event_while_commits_are_delayed() {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let (url, _) = database();
    let (log, pool) = (open(&url).await, pool(&url).await);
    let done = AtomicBool::new(false);
    let (clock, rng) = (Clock::system(), Rng::seeded(7));
    let slow = (0..WRITERS).map(|n| {
        let (pool, clock, rng) = (&pool, &clock, &rng);
        async move {
            for _ in 0..EACH {
                let mut client = pool.get().await.expect("a connection");
                let tx = client.transaction().await.expect("begins");
                let append = one(&format!("slow-{n}"), Expect::Any);
                log::append_in(&tx, &append, clock).await.expect("appends");
                clock
                    .sleep(Duration::from_millis(rng.below(4) as u64))
                    .await;
                if rng.below(5) == 0 {
                    tx.rollback().await.expect("rolls back");
                } else {
                    tx.commit().await.expect("commits");
                }
            }
        }
    });
    let quick = (0..WRITERS).map(|n| {
        let log = &log;
        async move {
            for _ in 0..EACH {
                let append = one(&format!("quick-{n}"), Expect::Any);
                log.append(append).await.expect("appends");
            }
        }
    });
    let write = async {
        futures_util::join!(join_all(slow), join_all(quick));
        done.store(true, Ordering::Release);
    };
    let read = (0..3).map(|_| async {
        let mut seen = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let page = log.read_all(Position(seen), &Filter::default(), 50).await;
            let page = page.expect("reads");
            for event in &page.events {
                assert_eq!(event.position.0, seen + 1, "an event was skipped");
                seen += 1;
            }
            if last && page.events.is_empty() {
                return seen;
            }
        }
    });
    let ((), seen) = futures_util::join!(write, join_all(read));
    let head = log.head().await.expect("head").position.0;
    assert!(head >= (WRITERS * EACH) as u64);
    assert!(seen.iter().all(|seen| *seen == head), "{seen:?} of {head}");
    let mut versions = std::collections::HashMap::<_, u64>::new();
    for event in everything(&log).await {
        let version = versions.entry(event.stream.clone()).or_default();
        *version += 1;
        assert_eq!(event.version.0, *version, "h03: {}", event.stream);
    }
}

#[tokio::test]
async fn h02_an_older_transaction_may_take_a_younger_position() {
    let (log, _) = new_log().await;
    let mut client = log.pool().get().await.expect("a connection");
    let old = client.transaction().await.expect("begins");
    let number = old
        .query_one("SELECT pg_current_xact_id()::text", &[])
        .await;
    number.expect("has a transaction id from now on");
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    assert_eq!(positions(&everything(&log).await), [1]);
    let second = one("a-1", Expect::Version(Version(1)));
    let later = log::append_in(&old, &second, &Clock::system()).await;
    assert_eq!(later.expect("appends").position, Position(2));
    old.commit().await.expect("commits");
    let next = log.read_all(Position(1), &Filter::default(), 10).await;
    assert_eq!(positions(&next.expect("reads").events), [2]);
}

#[tokio::test]
async fn h05_a_session_idle_in_a_transaction_stalls_nobody() {
    let (log, name) = new_log().await;
    let mut client = log.pool().get().await.expect("a connection");
    let idle = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await
        .expect("begins");
    idle.batch_execute("SELECT pg_current_xact_id(), * FROM ieum_log")
        .await
        .expect("idles");
    let begun = Instant::now();
    for _ in 0..20 {
        let appends = (0..40).map(|n| log.append(one(&format!("a-{n}"), Expect::Any)));
        for outcome in join_all(appends).await {
            outcome.expect("appends beside it");
        }
        let head = log.head().await.expect("head").position;
        let near = Position(head.0 - 10);
        let page = log.read_all(near, &Filter::default(), 100).await;
        assert_eq!(page.expect("reads beside it").events.len(), 10);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let idles = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' \
                 AND datname = current_database()";
    assert_eq!(shared().sql(&name, idles).expect("asks"), "1");
    drop(idle);
}

#[tokio::test]
async fn h05_who_idles_with_the_log_locked_is_ended_and_readers_never_wait() {
    let (url, _) = database();
    let log = open(&url).await;
    let impatient = postgres::Config {
        idle_in_transaction_timeout: Duration::from_millis(400),
        ..postgres::Config::default()
    };
    let other = postgres::connect(&url, log::MIGRATIONS, impatient)
        .await
        .expect("a pool");
    let mut client = other.get().await.expect("a connection");
    let idle = client.transaction().await.expect("begins");
    let locks = log::append_in(&idle, &one("a-1", Expect::Any), &Clock::system()).await;
    locks.expect("locks the log");
    let waits = log.append(one("b-1", Expect::Any));
    let reads = async {
        let begun = Instant::now();
        assert_eq!(everything(&log).await.len(), 0);
        assert!(
            begun.elapsed() < Duration::from_millis(350),
            "a reader waited"
        );
    };
    let (appended, ()) = futures_util::join!(waits, reads);
    assert_eq!(
        appended.expect("goes on").position,
        Position(1),
        "no place is lost"
    );
}

#[tokio::test]
async fn h07_a_page_and_its_head_are_of_one_moment() {
    let (log, _) = new_log().await;
    let done = AtomicBool::new(false);
    let write = async {
        for n in 0..150 {
            let batch = (0..3).map(|_| event()).collect();
            let append = Append::to(stream(&format!("a-{n}")), Expect::NoStream, batch);
            log.append(append).await.expect("appends");
        }
        done.store(true, Ordering::Release);
    };
    let read = async {
        while !done.load(Ordering::Acquire) {
            let page = log
                .read_all(Position::START, &Filter::default(), 10_000)
                .await;
            let page = page.expect("reads");
            let last = page
                .events
                .last()
                .map_or(Position::START, |event| event.position);
            assert_eq!(last, page.head.position, "the head is of another moment");
            assert_eq!(last.0 % 3, 0, "half an append");
        }
    };
    futures_util::join!(write, read);
}

/// Time for whoever waits to have registered: some round trips.
async fn settled(log: &Log) {
    for _ in 0..50 {
        log.head().await.expect("head");
    }
}

#[tokio::test]
async fn h10_another_process_is_woken_and_without_a_wake_up_it_looks() {
    let (url, name) = database();
    let writer = open(&url).await;
    let patient = log::Config {
        poll: Duration::from_secs(3_600),
        ..log::Config::default()
    };
    let told = open_with(&url, patient).await;
    let quick = log::Config {
        poll: Duration::from_millis(50),
        ..log::Config::default()
    };
    let looks = open_with(&url, quick).await;
    let limit = Duration::from_secs(20);
    let wait = |log: Log, after: u64| async move {
        let begun = Instant::now();
        let head = log.wait(Position(after), limit).await.expect("waits");
        assert_eq!(head.position, Position(after + 1));
        assert!(
            begun.elapsed() < limit / 2,
            "woken after {:?}",
            begun.elapsed()
        );
    };
    // It hears nothing before it listens; its first look at the head says that it does.
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND query LIKE '%incarnation, position FROM ieum_log%' AND wait_event = 'ClientRead'";
    ieum_testkit::eventually("both listen", limit, || {
        (shared().sql(&name, listens).ok()? != "0").then_some(())
    })
    .expect("listens");
    let append = async {
        settled(&writer).await;
        writer
            .append(one("a-1", Expect::Any))
            .await
            .expect("appends");
    };
    futures_util::join!(wait(told, 0), append);
    // A write that nobody is told of: by SQL, as another language may do it.
    let silent = async {
        settled(&writer).await;
        let pool = pool(&url).await;
        let mut client = pool.get().await.expect("a connection");
        let tx = client.transaction().await.expect("begins");
        tx.batch_execute("SELECT pg_advisory_xact_lock(1)")
            .await
            .expect("locks");
        let append = one("a-1", Expect::Any);
        log::append_in(&tx, &append, &Clock::system())
            .await
            .expect("appends");
        tx.commit().await.expect("commits");
    };
    futures_util::join!(wait(looks, 1), silent);
}

#[tokio::test]
async fn h17_of_writers_in_several_processes_exactly_one_wins() {
    let (url, _) = database();
    let logs = join_all((0..3).map(|_| open(&url))).await;
    for round in 0..10 {
        let race = (0..12).map(|n| {
            let expect = Expect::Version(Version(round));
            logs[n % 3].append(one("a-1", expect))
        });
        let outcomes = join_all(race).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {outcomes:?}");
        for lost in outcomes.into_iter().filter_map(Result::err) {
            let (stream, actual) = (stream("a-1"), Version(round + 1));
            assert_eq!(lost.kind(), &ErrorKind::Conflict { stream, actual });
        }
    }
}

#[tokio::test]
async fn an_epoch_begins_after_every_append_of_the_one_before() {
    use ieum_eventstore::Fences;
    let (log, _) = new_log().await;
    let fence = log.raise("owner").await.expect("raises");
    let mut client = log.pool().get().await.expect("a connection");
    let tx = client.transaction().await.expect("begins");
    let append = one("a-1", Expect::Any).fenced(fence.clone());
    log::append_in(&tx, &append, &Clock::system())
        .await
        .expect("is still the owner");
    let mut raised = Box::pin(log.raise("owner"));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut raised).await;
    assert!(
        early.is_err(),
        "the next epoch began while an append of this one was under way"
    );
    tx.commit().await.expect("commits");
    assert_eq!(raised.await.expect("raises").epoch, 2);
    let late = log.append(one("a-1", Expect::Any).fenced(fence)).await;
    assert_eq!(
        late.expect_err("refused").kind(),
        &ErrorKind::Fenced { actual: 2 }
    );
}

#[tokio::test]
async fn another_isolation_level_is_refused() {
    let (log, _) = new_log().await;
    let mut client = log.pool().get().await.expect("a connection");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let tx = client.transaction().await.expect("begins");
        let set = format!("SET TRANSACTION ISOLATION LEVEL {level}");
        tx.batch_execute(&set).await.expect("sets");
        let refused = log::append_in(&tx, &one("a-1", Expect::Any), &Clock::system()).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.kind(), &ErrorKind::Invalid);
        assert!(refused.to_string().contains(level), "{refused}");
    }
    assert_eq!(log.head().await.expect("head").position, Position::START);
}

#[tokio::test]
async fn h28_a_commit_waits_for_the_disk_whatever_the_session_says() {
    let (log, _) = new_log().await;
    let mut client = log.pool().get().await.expect("a connection");
    for (set, forced) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let tx = client.transaction().await.expect("begins");
        let weaken = format!("SET LOCAL synchronous_commit = {set}");
        tx.batch_execute(&weaken).await.expect("sets");
        let append = one("a-1", Expect::Any);
        log::append_in(&tx, &append, &Clock::system())
            .await
            .expect("appends");
        let row = tx
            .query_one("SHOW synchronous_commit", &[])
            .await
            .expect("shows");
        assert_eq!(row.get::<_, &str>(0), forced, "set to {set}");
    }
}

#[tokio::test]
async fn h10_a_hint_that_was_wrong_wakes_once_and_not_for_ever() {
    let (log, name) = new_log().await;
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    let limit = Duration::from_secs(20);
    let lie = "SELECT pg_notify('ieum_log', 'ieum_log'::regclass::oid::text || ' 1000000')";
    let waits = async |wait: Duration| {
        let begun = Instant::now();
        let head = log.wait(Position(1), wait).await.expect("waits");
        assert_eq!(head.position, Position(1));
        begun.elapsed() < wait
    };
    let lying = async {
        loop {
            settled(&log).await;
            shared().sql(&name, lie).expect("lies");
        }
    };
    tokio::select! {
        woken = waits(limit) => assert!(woken, "nobody heard the lie"),
        () = lying => {}
    }
    // The last lie may be heard yet.
    let mut woken = 0;
    for _ in 0..5 {
        woken += u32::from(waits(Duration::from_millis(100)).await);
    }
    assert!(woken <= 1, "woken {woken} times");
}

#[tokio::test]
async fn h35_a_position_is_never_used_twice_after_the_tail_was_deleted() {
    let (log, name) = new_log().await;
    for _ in 0..2 {
        log.append(one("a-1", Expect::Any)).await.expect("appends");
    }
    shared()
        .sql(&name, "DELETE FROM ieum_events WHERE position = 2")
        .expect("deletes");
    assert_eq!(log.head().await.expect("head").position, Position(2));
    let next = log.append(one("a-1", Expect::Version(Version(2)))).await;
    assert_eq!(next.expect("appends").position, Position(3));
}

#[tokio::test]
async fn h35_a_copy_of_the_log_is_another_incarnation_until_an_operator_says_it_is_whole() {
    use ieum_eventstore::Checkpoints;
    let (log, name) = new_log().await;
    for _ in 0..3 {
        log.append(one("a-1", Expect::Any)).await.expect("appends");
    }
    let before = log.head().await.expect("head");
    let at = before.checkpoint(Position(2));
    log.store("view", None, at).await.expect("stores");
    let dump = shared().tool("pg_dump", &[], &name).expect("dumps");
    let folder = ieum_testkit::TempFolder::new().expect("a folder");
    let file = folder.path().join("dump.sql");
    std::fs::write(&file, dump).expect("writes");
    let (url, restored) = database();
    let file = file.display().to_string();
    shared()
        .tool(
            "psql",
            &["-q", "-v", "ON_ERROR_STOP=1", "-f", &file],
            &restored,
        )
        .expect("restores");
    let copy = open(&url).await;
    let after = copy.head().await.expect("head");
    assert_eq!(after.position, before.position);
    assert_ne!(after.incarnation, before.incarnation);
    let refused = copy.load("view").await.expect_err("refused");
    assert_eq!(refused.kind(), &ErrorKind::ForeignCheckpoint);
    // Opening it again changes nothing more, and the original is what it was.
    assert_eq!(open(&url).await.head().await.expect("head"), after);
    assert_eq!(log.head().await.expect("head"), before);
    assert_eq!(copy.keep_incarnation().await.expect("keeps"), before);
    assert_eq!(copy.load("view").await.expect("loads"), Some(at));
    let next = copy.append(one("a-1", Expect::Version(Version(3)))).await;
    assert_eq!(next.expect("appends").position, Position(4));
}
