//! What only a server does to a service: it is slow, it is restarted, others use it too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use ieum_base::{Clock, EngineUrl};
use ieum_messaging::{OutboxStore, memory, relay};
use ieum_sql::barrier::{self, Op};
use ieum_sql::idempotency::Outcome;
use ieum_sql::{Answer, Database, Error, ErrorKind, idempotency, inbox, outbox};
use ieum_testkit::engines::Postgres;
use serde_json::json;
use tokio::time::Instant;

use crate::at_once::published;
use crate::fixture::{balance, book, number, open_with, postgres};
use crate::outbox::{message, publish};
use crate::participant::call;

async fn with_parameters(url: &EngineUrl, parameters: &str) -> Database {
    let url = format!("{}?{parameters}", url.expose().expose());
    open_with(&url.parse().expect("a URL"), &[], Clock::system()).await
}

#[tokio::test]
async fn h05_a_closure_that_stands_still_holds_others_no_longer_than_the_timeout() {
    let url = postgres();
    let database = with_parameters(&url, "idle_in_transaction_timeout=300ms").await;
    let (held, is_held) = std::sync::mpsc::channel();
    let (thaw, is_thawed) = std::sync::mpsc::channel();
    let frozen = database.write(move |tx| {
        tx.lock("stock")?;
        book(tx, 1)?;
        held.send(()).expect("sends");
        is_thawed.recv().expect("thawed");
        book(tx, 1)
    });
    let other = async {
        let held = tokio::task::spawn_blocking(move || is_held.recv());
        held.await.expect("waits").expect("held");
        let begun = Instant::now();
        let written = database.write(|tx| {
            tx.lock("stock")?;
            book(tx, 10)
        });
        written.await.expect("writes");
        thaw.send(()).expect("sends");
        begun.elapsed()
    };
    let (frozen, waited) = join(frozen, other).await;
    let error = frozen.expect_err("its transaction was ended");
    assert!(error.retry().is_worthwhile(), "{error:?}");
    assert_eq!(balance(&database).await, 10, "nothing of it was written");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_told_to_try_again() {
    let url = postgres();
    let database = with_parameters(&url, "statement_timeout=200ms").await;
    let (held, is_held) = std::sync::mpsc::channel();
    let (thaw, is_thawed) = std::sync::mpsc::channel();
    let holder = database.write(move |tx| {
        tx.lock("stock")?;
        held.send(()).expect("sends");
        is_thawed.recv().expect("thawed");
        book(tx, 1)
    });
    let other = async {
        let held = tokio::task::spawn_blocking(move || is_held.recv());
        held.await.expect("waits").expect("held");
        let refused = database.write(|tx| {
            book(tx, 10)?;
            tx.lock("stock")
        });
        let error = refused.await.expect_err("too long");
        thaw.send(()).expect("sends");
        error
    };
    let (holder, error) = join(holder, other).await;
    holder.expect("writes");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(balance(&database).await, 1);
}

#[tokio::test]
async fn of_two_that_wait_for_each_other_one_is_told_to_try_again() {
    let database = with_parameters(&postgres(), "max_connections=4").await;
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let both = [("a", "b"), ("b", "a")].map(|(first, second)| {
        let barrier = Arc::clone(&barrier);
        database.write(move |tx| {
            tx.lock(first)?;
            barrier.wait();
            tx.lock(second)?;
            book(tx, 1)
        })
    });
    let outcomes = join_all(both).await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].kind(), ErrorKind::Busy);
    assert_eq!(balance(&database).await, 1);
}

#[tokio::test]
async fn a_pool_that_is_in_use_makes_others_wait_no_longer_than_told() {
    let parameters = "max_connections=1&acquire_timeout=200ms";
    let database = with_parameters(&postgres(), parameters).await;
    let (thaw, is_thawed) = std::sync::mpsc::channel();
    let (held, is_held) = std::sync::mpsc::channel();
    let holder = database.write(move |tx| {
        book(tx, 1)?;
        held.send(()).expect("sends");
        is_thawed.recv().expect("thawed");
        Ok::<_, Error>(())
    });
    let other = async {
        let held = tokio::task::spawn_blocking(move || is_held.recv());
        held.await.expect("waits").expect("held");
        let refused = database.write(|tx| book(tx, 10)).await;
        thaw.send(()).expect("sends");
        refused.expect_err("no connection").kind()
    };
    let (holder, kind) = join(holder, other).await;
    holder.expect("writes");
    assert_eq!(kind, ErrorKind::Busy);
}

#[tokio::test]
async fn h29_of_two_relays_one_sends_and_the_other_takes_over() {
    let url = postgres();
    let [first, second] = [
        with_parameters(&url, "application_name=first").await,
        with_parameters(&url, "application_name=second").await,
    ];
    for n in 0..4 {
        let sent = publish(&first, message(&n.to_string())).await;
        sent.expect("publishes");
    }
    assert_eq!(first.outbox().pending(9).await.expect("reads").len(), 4);
    assert_eq!(second.outbox().pending(9).await.expect("reads").len(), 0);
    let waiting = second.outbox();
    let begun = Instant::now();
    waiting.changed(Duration::from_millis(50)).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(50), "it waits: {waited:?}");
    first.close().await.expect("closes");
    drop(first);
    while second.outbox().pending(9).await.expect("reads").len() < 4 {
        tokio::task::yield_now().await;
    }
}

/// A relay whose session the server ended goes on as soon as it is free again.
#[tokio::test]
async fn h15_a_relay_that_lost_its_lock_without_noticing_gets_no_rows() {
    let url = postgres();
    let [first, second] = [
        with_parameters(&url, "application_name=first").await,
        with_parameters(&url, "application_name=second").await,
    ];
    publish(&first, message("1")).await.expect("publishes");
    assert_eq!(first.outbox().pending(9).await.expect("reads").len(), 1);
    let ended = second.write(|tx| {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'first' AND datname = current_database()";
        tx.rows(sql, (), |row| row.get::<bool>(0))
    });
    assert!(!ended.await.expect("ends").is_empty());
    while second.outbox().pending(9).await.expect("reads").is_empty() {
        tokio::task::yield_now().await;
    }
    // The first notices by the statement that would have read the rows.
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.extend(first.outbox().pending(9).await.unwrap_or_default());
    }
    assert_eq!(seen.len(), 0);
}

#[tokio::test]
async fn h29_two_relays_at_once_send_each_row_once_and_in_order() {
    let url = postgres();
    let broker = Arc::new(memory::Broker::default());
    let databases = [
        with_parameters(&url, "application_name=first").await,
        with_parameters(&url, "application_name=second").await,
    ];
    let is_done = AtomicBool::new(false);
    let relays = databases.iter().map(|database| {
        let store: Arc<dyn OutboxStore> = database.outbox();
        let config = relay::Config {
            batch: 7,
            ..relay::Config::default()
        };
        let relay = relay::Service::new(store, Arc::clone(&broker) as _, config);
        let is_done = &is_done;
        async move {
            let mut sent = 0;
            while !is_done.load(Ordering::Relaxed) {
                sent += relay.round().await.expect("sends");
            }
            sent
        }
    });
    let writes = async {
        for n in 0..100 {
            let keyed = message(&n.to_string()).with_key("k");
            publish(&databases[n % 2], keyed).await.expect("publishes");
        }
        let left = "SELECT count(*) FROM ieum_outbox WHERE sent_at IS NULL";
        while number(&databases[0], left).await > 0 {
            tokio::task::yield_now().await;
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let (sent, ()) = join(join_all(relays), writes).await;
    assert_eq!(sent.into_iter().sum::<usize>(), 100);
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(published(&broker).await, expected);
}

/// Tries until it is told.
async fn stubbornly<T, F: Future<Output = Result<T, Error>>>(mut attempt: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => {
                assert!(error.retry().is_worthwhile(), "{error:?}");
                assert!(begun.elapsed() < Duration::from_secs(60), "{error:?}");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// What one worker does as number `n`: a message, a call and a request, each tried until it is
/// answered; the effects are ledger rows that tell whose they are.
async fn work(database: &Database, n: i64) {
    let write = |tx: &ieum_sql::Tx<'_>, n: i64| book(tx, n);
    stubbornly(|| {
        database.write(move |tx| {
            let is_first = inbox::claim(tx, "c", "/s", &n.to_string())?;
            if is_first {
                write(tx, n)?;
                outbox::publish(tx, "order.events", &message(&n.to_string()))?;
            }
            Ok::<_, Error>(())
        })
    })
    .await;
    stubbornly(|| {
        database.write(move |tx| {
            let call = call(&n.to_string(), Op::Do, 1, 1);
            barrier::run(tx, &call, || {
                write(tx, n)?;
                Ok::<_, Error>(Answer::new(201, json!(n)))
            })
        })
    })
    .await;
    let outcome = stubbornly(|| {
        database.write(move |tx| {
            idempotency::run(tx, "s", &n.to_string(), "body", || {
                write(tx, n)?;
                Ok::<_, Error>(Answer::new(201, json!(n)))
            })
        })
    });
    assert_ne!(outcome.await, Outcome::KeyReused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_the_middle_of_commits_leaves_each_effect_once() {
    const WORKERS: i64 = 8;
    let mut server = Postgres::start().expect("starts");
    let url: EngineUrl = server.url("ieum").parse().expect("a URL");
    let database = open_with(&url, &[], Clock::system()).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let workers = (0..WORKERS).map(|worker| {
        let (database, is_done) = (database.clone(), Arc::clone(&is_done));
        async move {
            let mut done = BTreeSet::new();
            for n in (worker..).step_by(WORKERS as usize) {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                work(&database, n).await;
                done.insert(n);
            }
            done
        }
    });
    let kills = tokio::task::spawn_blocking({
        let (is_done, database) = (Arc::clone(&is_done), url.path().to_owned());
        move || {
            for round in 1..=5 {
                // Something is written between two kills.
                let enough = format!("SELECT count(*) > {} FROM ledger", round * 120);
                let busy = || {
                    let is_enough = server.sql(&database, &enough).ok()?;
                    (is_enough == "t").then_some(())
                };
                ieum_testkit::eventually("writes", Duration::from_secs(60), busy).expect("writes");
                server.restart_immediately().expect("restarts");
            }
            is_done.store(true, Ordering::Relaxed);
            server
        }
    });
    let (done, server) = join(join_all(workers), kills).await;
    let _server = server.expect("lives");
    let done: BTreeSet<_> = done.into_iter().flatten().collect();
    let booked = database.read(|reader| {
        let sql = "SELECT amount, count(*) FROM ledger GROUP BY amount ORDER BY amount";
        reader.rows(sql, (), |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)))
    });
    let booked = booked.await.expect("reads");
    let thrice: BTreeSet<_> = booked
        .iter()
        .filter(|(_, count)| *count == 3)
        .map(|(n, _)| *n)
        .collect();
    assert!(done.len() > 100, "{}", done.len());
    assert_eq!(booked.len(), thrice.len(), "lost or doubled: {booked:?}");
    assert_eq!(thrice, done);
    let messages = number(&database, "SELECT count(*) FROM ieum_outbox").await;
    assert_eq!(messages, done.len() as i64);
}

#[tokio::test]
async fn a_service_works_again_as_soon_as_the_server_answers() {
    let mut server = Postgres::start().expect("starts");
    let url: EngineUrl = format!("{}?acquire_timeout=200ms", server.url("ieum"))
        .parse()
        .expect("a URL");
    let database = open_with(&url, &[], Clock::system()).await;
    let log = database.log();
    database.write(|tx| book(tx, 1)).await.expect("writes");
    server.kill().expect("ends");
    let refused = database.write(|tx| book(tx, 10)).await;
    let error = refused.expect_err("the server is away");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    database.probe().await.expect_err("the server is away");
    database.outbox().pending(1).await.expect_err("away");
    server.start_again().expect("starts");
    database.write(|tx| book(tx, 100)).await.expect("writes");
    database.probe().await.expect("is well");
    assert_eq!(balance(&database).await, 101);
    database.outbox().pending(1).await.expect("reads");
    log.head().await.expect("a head");
}
