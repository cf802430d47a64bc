//! The cache in memory, and reading aside of one that fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ieum_base::ByteSize;
use ieum_base::testing::pass;

use super::conformance::{self, Time};
use super::*;

#[tokio::test(start_paused = true)]
async fn the_cache_in_memory_keeps_its_promises() {
    let fresh = async || std::sync::Arc::new(Memory::new(&Config::default())) as _;
    let report = conformance::run(fresh, pass, Time::Virtual).await;
    ieum_testkit::conformance::record("cache", "memory", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, conformance::names());
}

#[tokio::test]
async fn entries_and_bytes_are_bounded() {
    for (value, most) in [(10, 1_000), (5_000, 200)] {
        let config = Config {
            entries: 1_000,
            size: ByteSize(1 << 20),
            ..Config::default()
        };
        let cache = Memory::new(&config);
        for n in 0..20_000 {
            let value = Bytes::from(vec![b'x'; value]);
            let key = n.to_string();
            let kept = cache.set(&key, value, Duration::from_secs(60)).await;
            kept.expect("kept");
        }
        let (entries, weight) = (cache.len(), cache.weight());
        assert!(entries <= most && entries > most / 4, "{entries} entries");
        assert!(weight <= 1 << 20, "{weight} bytes");
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused() {
    let cache = Memory::new(&Config::default());
    let large = Bytes::from(vec![0; 1 << 20]);
    let refused = cache.set("a", large, Duration::from_secs(1)).await;
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::Invalid);
}

#[test]
fn settings_are_checked() {
    assert_eq!(Config::default().invalid().len(), 0);
    let wrong = Config {
        ttl: ieum_base::HumanDuration::from_secs(0),
        entries: 0,
        size: ByteSize(0),
    };
    assert_eq!(wrong.invalid().len(), 3);
}

/// A cache that can be gone.
struct Flaky {
    cache: Memory,
    gone: AtomicBool,
}

impl Flaky {
    fn answers(&self) -> Result<&Memory> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "asking"));
        }
        Ok(&self.cache)
    }
}

#[async_trait]
impl Cache for Flaky {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.answers()?.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.answers()?.set(key, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.answers()?.delete(key).await
    }

    async fn clear(&self) -> Result<()> {
        self.answers()?.clear().await
    }

    async fn look_up(&self, key: &str) -> Result<Lookup> {
        self.answers()?.look_up(key).await
    }

    async fn fill(&self, key: &str, ticket: Ticket, value: Bytes, ttl: Duration) -> Result<bool> {
        self.answers()?.fill(key, ticket, value, ttl).await
    }
}

async fn read(aside: &Aside, key: &str, stored: &'static str) -> Bytes {
    let load = async { Ok::<_, Error>(Some(Bytes::from_static(stored.as_bytes()))) };
    let value = aside.read(key, load).await.expect("the store answers");
    value.expect("there is one")
}

#[tokio::test]
async fn a_cache_that_is_gone_is_gone_past_and_what_was_forgotten_stays_so() {
    let flaky = std::sync::Arc::new(Flaky {
        cache: Memory::new(&Config::default()),
        gone: AtomicBool::new(false),
    });
    let aside = Aside::new(std::sync::Arc::clone(&flaky) as _, Duration::from_secs(60));
    assert_eq!(read(&aside, "a", "one").await, "one");
    assert_eq!(read(&aside, "a", "not asked").await, "one");
    assert_eq!(read(&aside, "b", "one").await, "one");

    flaky.gone.store(true, Ordering::SeqCst);
    aside.forget("a").await;
    assert_eq!(read(&aside, "a", "two").await, "two");

    flaky.gone.store(false, Ordering::SeqCst);
    assert_eq!(read(&aside, "a", "two").await, "two");
    assert_eq!(read(&aside, "b", "not asked").await, "one");
    let figures = aside.figures();
    assert_eq!((figures.hits, figures.misses, figures.failures), (2, 3, 2));

    flaky.gone.store(true, Ordering::SeqCst);
    aside.forget_all().await;
    flaky.gone.store(false, Ordering::SeqCst);
    assert_eq!(read(&aside, "b", "two").await, "two");
}

#[tokio::test]
async fn what_the_store_does_not_have_is_not_remembered() {
    let memory = Memory::new(&Config::default());
    let aside = Aside::new(std::sync::Arc::new(memory), Duration::from_secs(60));
    let none = aside.read("a", async { Ok::<_, Error>(None) }).await;
    assert_eq!(none.expect("the store answers"), None);
    assert_eq!(read(&aside, "a", "one").await, "one");
}
