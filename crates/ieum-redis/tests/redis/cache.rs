//! The suite of caches, and a cache whose server is gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ieum_base::Uuid;
use ieum_redis::Cache;
use ieum_resilience::cache::conformance::{self, Time};
use ieum_resilience::cache::{self, Aside, Cache as _, ErrorKind};
use ieum_testkit::conformance::record;
use tokio::time::Instant;

use super::server::{calm, connect, eventually, own, url};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_cache_keeps_its_promises() {
    let (connection, tasks) = connect(&calm()).await;
    let fresh = async || {
        let name = Uuid::new_v4().to_string();
        Arc::new(Cache::new(connection.clone(), name)) as Arc<dyn cache::Cache>
    };
    let report = conformance::run(fresh, tokio::time::sleep, Time::Real).await;
    record(
        "cache",
        "Redis",
        &report.passed,
        &report.failed,
        &report.skipped,
    );
    assert_eq!(report.failed, []);
    assert_eq!(
        report.passed.len() + report.skipped.len(),
        conformance::names().len()
    );
    assert_eq!(report.skipped.len(), 1, "{:?}", report.skipped);
    tasks.stop().request();
}

#[tokio::test]
async fn clearing_a_cache_leaves_others_alone() {
    let (connection, tasks) = connect(&calm()).await;
    let cache = |name: &str| Cache::new(connection.clone(), name);
    let (one, like_it) = (cache("one[a]*"), cache("one[a]*b"));
    for n in 0..3_000 {
        let (key, value) = (n.to_string(), Bytes::from_static(b"x"));
        one.set(&key, value, LONG).await.expect("set");
    }
    let kept = Bytes::from_static(b"kept");
    like_it.set("a", kept.clone(), LONG).await.expect("set");
    one.clear().await.expect("cleared");
    for n in 0..3_000 {
        assert_eq!(one.get(&n.to_string()).await.expect("asked"), None);
    }
    assert_eq!(like_it.get("a").await.expect("asked"), Some(kept));
    tasks.stop().request();
}

/// A dead or frozen server costs one timeout, then nothing, and is used again when it is back.
#[tokio::test]
async fn nobody_waits_for_a_server_that_is_gone() {
    let mut server = own();
    let url = url(&server, "");
    let (connection, tasks) = connect(&url).await;
    let cache = Cache::new(connection.clone(), "c");
    for frozen in [true, false] {
        cache
            .set("a", Bytes::from_static(b"x"), LONG)
            .await
            .expect("set");
        match frozen {
            true => server.freeze().expect("frozen"),
            false => server.kill().expect("killed"),
        }
        let begun = Instant::now();
        for _ in 0..500 {
            let error = cache.get("a").await.expect_err("nobody answers");
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
        let took = begun.elapsed();
        assert!(
            took < Duration::from_millis(400),
            "500 questions took {took:?}"
        );
        match frozen {
            true => server.thaw().expect("thawed"),
            false => server.start_again().expect("started"),
        }
        eventually("the server is used again", async || {
            cache.get("a").await.is_ok()
        })
        .await;
    }
    tasks.stop().request();
}

/// A write that could not be forgotten is not read after the server is back.
#[tokio::test]
async fn a_frozen_server_that_goes_on_answers_no_stale_value() {
    let server = own();
    let (connection, tasks) = connect(&url(&server, "")).await;
    let aside = Aside::new(Arc::new(Cache::new(connection.clone(), "c")), LONG);
    let read = async |stored: &'static str| {
        let load = async { Ok::<_, cache::Error>(Some(Bytes::from_static(stored.as_bytes()))) };
        aside
            .read("a", load)
            .await
            .expect("the store answers")
            .expect("there is one")
    };
    assert_eq!(read("old").await, "old");
    assert_eq!(read("not asked").await, "old");
    server.freeze().expect("frozen");
    aside.forget("a").await;
    assert_eq!(read("new").await, "new");
    server.thaw().expect("thawed");
    // Read by read, until the cache is used again.
    let before = aside.figures().hits;
    eventually("the cache fills again", async || {
        assert_eq!(read("new").await, "new");
        aside.figures().hits > before
    })
    .await;
    tasks.stop().request();
}
