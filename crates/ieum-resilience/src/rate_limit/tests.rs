//! Behaviour, on virtual time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

fn quota(requests: u32, burst: u32) -> Quota {
    Quota::new(requests, Duration::from_secs(1), burst)
}

#[tokio::test(start_paused = true)]
async fn a_burst_then_evenly() {
    let limiter = Limiter::new(quota(10, 3));
    let left: Vec<u32> = (0..3)
        .map(|_| limiter.check().expect("in the burst").remaining)
        .collect();
    assert_eq!(left, [2, 1, 0]);
    let limited = limiter.check().expect_err("used up");
    assert_eq!(limited.retry_after, Duration::from_millis(100));
    assert_eq!(limited.reset, Duration::from_millis(300));
    tokio::time::advance(Duration::from_millis(99)).await;
    assert!(
        limiter.check().is_err(),
        "a refused request costs nothing and gains nothing"
    );
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(limiter.check().is_ok());
    assert!(limiter.check().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_pause_restores_the_burst_and_not_more() {
    let limiter = Limiter::new(quota(10, 3));
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!((0..10).filter(|_| limiter.check().is_ok()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_share_and_clones_do() {
    let limiter = KeyedLimiter::new(quota(1, 1), 100);
    assert!(limiter.check(&"a").is_ok());
    assert!(limiter.clone().check(&"a").is_err());
    assert!(limiter.check(&"b").is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_keys_is_bounded() {
    let limiter = KeyedLimiter::new(quota(1, 1), 1_000);
    for key in 0..50_000_u32 {
        let _ = limiter.check(&key);
    }
    assert!(limiter.len() <= 1_000, "{} keys", limiter.len());
    assert!(!limiter.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_layer_refuses_what_is_too_much() {
    let layer = RateLimitLayer::new(quota(1, 1));
    let ok = service_fn(|()| async { Ok::<_, Infallible>(()) });
    assert_eq!(layer.layer(ok).oneshot(()).await, Ok(()));
    assert!(matches!(
        layer.layer(ok).oneshot(()).await,
        Err(Error::Limited(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_keeps_its_promises() {
    let store = Arc::new(MemoryStore::new(1_000));
    let connect = async || Arc::clone(&store) as Arc<dyn Store>;
    let report = conformance::run(connect, ieum_base::testing::pass).await;
    ieum_testkit::conformance::record("rate limit", "memory", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, conformance::names());
}

/// A store that can be gone.
struct Flaky {
    store: MemoryStore,
    gone: AtomicBool,
}

#[async_trait::async_trait]
impl Store for Flaky {
    async fn admit(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        match self.gone.load(Ordering::SeqCst) {
            true => Err(StoreError::new("asking")),
            false => self.store.admit(key, quota).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_store_each_process_limits_alone_and_gives_no_fresh_burst() {
    let store = Arc::new(Flaky {
        store: MemoryStore::new(1_000),
        gone: AtomicBool::new(false),
    });
    let limiter = || {
        let store = Arc::clone(&store) as Arc<dyn Store>;
        SharedLimiter::new("route", quota(1, 10), store, 100)
    };
    let processes = [limiter(), limiter()];
    let mut admitted = 0;
    for n in 0..20 {
        admitted += i32::from(processes[n % 2].check(&"a", "a").await.is_ok());
    }
    assert_eq!(admitted, 10, "one burst for both");
    store.gone.store(true, Ordering::SeqCst);
    for n in 0..40 {
        admitted += i32::from(processes[n % 2].check(&"a", "a").await.is_ok());
    }
    assert_eq!(admitted, 20, "each has what it did not admit itself");
    assert_eq!(processes[0].alone() + processes[1].alone(), 40);
    store.gone.store(false, Ordering::SeqCst);
    assert!(processes[0].check(&"a", "a").await.is_err());
}

#[test]
fn settings_are_checked() {
    let config = Config {
        requests: 0,
        per: ieum_base::HumanDuration::from_secs(0),
        burst: Some(0),
    };
    assert_eq!(config.invalid().len(), 3);
    assert_eq!(
        config.quota().burst(),
        1,
        "what is out of range is brought into it"
    );
}

proptest! {
    /// Whatever the arrivals, no stretch of time sees more than the burst plus the rate.
    #[test]
    fn never_more_than_burst_plus_rate(
        rate in 1_u32..200,
        burst in 1_u32..50,
        gaps in prop::collection::vec(0_u64..50_000_000, 1..300),
    ) {
        let quota = quota(rate, burst);
        let cell = std::sync::atomic::AtomicU64::new(0);
        let mut now = 0;
        let mut admitted: Vec<u64> = Vec::new();
        for gap in gaps {
            now += gap;
            if quota.check(&cell, now).is_ok() {
                admitted.push(now);
            }
        }
        for (from, start) in admitted.iter().enumerate() {
            for (to, end) in admitted.iter().enumerate().skip(from) {
                let seconds = (end - start) as f64 / 1e9;
                let most = f64::from(burst) + seconds * f64::from(rate) + 1e-3;
                prop_assert!(((to - from + 1) as f64) <= most);
            }
        }
    }
}
