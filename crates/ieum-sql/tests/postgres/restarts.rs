//! A server that crashes, goes away, comes back as another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::EngineUrl;
use ieum_eventstore::{
    Append, Checkpoints, ErrorKind, EventStore, Expect, Filter, Position, Version,
};
use ieum_sql::postgres::{self, Log, log};
use ieum_testkit::engines::Postgres;
use tokio::sync::watch;
use tokio::time::Instant;

use super::server::{event, everything, one, open, stream};

const WRITERS: usize = 4;
const CRASHES: usize = 5;

async fn start() -> (Postgres, EngineUrl) {
    let server = tokio::task::spawn_blocking(|| Postgres::start().expect("a server"));
    let server = server.await.expect("starts");
    let url = server.database("log").expect("a database");
    (server, url.parse().expect("a URL"))
}

/// Appends the same events until their fate is known, as every caller should.
async fn append_surely(log: &Log, append: &Append) -> Position {
    loop {
        match log.append(append.clone()).await {
            Ok(appended) => return appended.position,
            Err(error) => assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h28_nothing_acknowledged_is_lost_when_the_server_crashes_under_load() {
    let (mut server, url) = start().await;
    let log = open(&url).await;
    let (done, acknowledged) = (AtomicBool::new(false), watch::Sender::new(0_u64));
    let writers = (0..WRITERS).map(|n| {
        let (log, done, acknowledged) = (&log, &done, &acknowledged);
        async move {
            let mut written = Vec::new();
            while !done.load(Ordering::Acquire) {
                let expect = Expect::Version(Version(written.len() as u64));
                let append = Append::to(stream(&format!("a-{n}")), expect, vec![event()]);
                let position = append_surely(log, &append).await;
                acknowledged.send_modify(|count| *count += 1);
                written.push((append.writes[0].events[0].id, position));
            }
            written
        }
    });
    let crash = async {
        let mut waits = Vec::new();
        let mut count = acknowledged.subscribe();
        for _ in 0..CRASHES {
            let busy = *count.borrow() + 40;
            count
                .wait_for(|count| *count > busy)
                .await
                .expect("appends");
            let crashed = tokio::task::spawn_blocking(move || {
                server.restart_immediately().expect("restarts");
                server
            });
            server = crashed.await.expect("restarts");
            let (begun, before) = (Instant::now(), *count.borrow());
            count
                .wait_for(|count| *count > before)
                .await
                .expect("appends");
            waits.push(begun.elapsed());
        }
        done.store(true, Ordering::Release);
        (waits, server)
    };
    let read = async {
        let mut seen = 0;
        while !done.load(Ordering::Acquire) {
            // While the server is away a read may fail; it may never skip.
            let page = log.read_all(Position(seen), &Filter::default(), 100).await;
            for event in page.map(|page| page.events).unwrap_or_default() {
                assert_eq!(event.position.0, seen + 1, "h06: a gap");
                seen += 1;
            }
        }
    };
    let (written, (waits, _server), ()) = futures_util::join!(join_all(writers), crash, read);
    let events = everything(&log).await;
    let mut expected: Vec<_> = written.into_iter().flatten().collect();
    expected.sort_by_key(|(_, position)| *position);
    let found: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.position))
        .collect();
    assert_eq!(found, expected, "lost, doubled or moved");
    assert!(found.len() > CRASHES * WRITERS);
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, n)| event.position.0 == n),
        "h06: a gap"
    );
    println!("{} events, first writes after {waits:?}", found.len());
    let slowest = waits.into_iter().max().expect("crashes");
    assert!(
        slowest <= Duration::from_secs(2),
        "the first write came after {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_and_a_checkpoint_outlast_a_crash_between_two_of_them() {
    let (mut server, url) = start().await;
    let log = open(&url).await;
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    let head = log.head().await.expect("head");
    let crashed = tokio::task::spawn_blocking(move || {
        server.restart_immediately().expect("restarts");
        server
    });
    let _server = crashed.await.expect("restarts");
    // Every pooled connection is dead, and nobody notices.
    assert_eq!(log.head().await.expect("reads"), head);
    log.store("view", None, head.checkpoint(Position(1)))
        .await
        .expect("stores");
    let appended = log.append(one("a-1", Expect::Version(Version(1)))).await;
    assert_eq!(appended.expect("appends").position, Position(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_an_append_is_unavailable_in_time() {
    let (mut server, url) = start().await;
    let quick = log::Config {
        append_timeout: Duration::from_millis(700),
        ..log::Config::default()
    };
    let pool = postgres::Config {
        acquire_timeout: Duration::from_millis(300),
        ..postgres::Config::default()
    };
    let log = Log::open(&url, &[], pool, quick).await.expect("a log");
    server.kill().expect("kills");
    let begun = Instant::now();
    let append = one("a-1", Expect::NoStream);
    let refused = join_all((0..5).map(|_| log.append(append.clone()))).await;
    for refused in refused {
        assert_eq!(
            refused.expect_err("refused").kind(),
            &ErrorKind::Unavailable
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let read = log.head().await.expect_err("refused");
    assert_eq!(read.kind(), &ErrorKind::Unavailable);
    assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
    let started = tokio::task::spawn_blocking(move || {
        server.start_again().expect("starts");
        server
    });
    let _server = started.await.expect("starts");
    append_surely(&log, &append).await;
    assert_eq!(everything(&log).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h35_a_standby_is_refused_and_a_promoted_one_is_another_incarnation() {
    let (mut server, url) = start().await;
    let log = open(&url).await;
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    let before = log.head().await.expect("head");
    log.store("view", None, before.checkpoint(Position(1)))
        .await
        .expect("stores");
    let standby = tokio::task::spawn_blocking(move || {
        server.kill().expect("kills");
        let signal = server.server().folder().join("data").join("standby.signal");
        std::fs::write(signal, "").expect("writes");
        server.start_again().expect("starts as a standby");
        server
    });
    let server = standby.await.expect("starts");
    let refused = postgres::connect(&url, log::MIGRATIONS, postgres::Config::default()).await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused.kind(), ieum_sql::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("standby"), "{refused}");
    let findings = postgres::examine(&url).await;
    let broken = findings
        .iter()
        .filter(|found| found.level == ieum_base::Level::Broken);
    assert_eq!(broken.count(), 1, "{findings:?}");
    server
        .sql("postgres", "SELECT pg_promote()")
        .expect("promotes");
    // The log that was open all the time notices it too: what it lost, if it lost something, is
    // never skipped in silence.
    let after = log.head().await.expect("head");
    assert_ne!(after.incarnation, before.incarnation);
    let loaded = log.load("view").await.expect_err("refused");
    assert_eq!(loaded.kind(), &ErrorKind::ForeignCheckpoint);
    assert_eq!(log.keep_incarnation().await.expect("keeps"), before);
    log.load("view").await.expect("goes on");
}
