//! Behaviour, on virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ieum_base::{Retry, Rng};
use tokio::time::Instant;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use super::*;

/// Repeats each request that is not negative; a `"no"` is final.
#[derive(Clone)]
struct Repeatable;

impl Policy<i32, (), &'static str> for Repeatable {
    fn clone_request(&self, request: &i32) -> Option<i32> {
        (*request >= 0).then_some(*request)
    }

    fn judge(&self, result: Result<&(), &&'static str>) -> Retry {
        match result {
            Ok(()) | Err(&"no") => Retry::Never,
            Err(_) => Retry::SOON,
        }
    }
}

type Calls = Arc<AtomicU32>;

/// Fails the first `failures` calls with `error`.
fn failing(
    failures: u32,
    error: &'static str,
) -> (
    Calls,
    impl Service<i32, Response = (), Error = &'static str, Future: Send> + Clone + Send + Sync,
) {
    let calls = Calls::default();
    let counter = Arc::clone(&calls);
    let service = service_fn(move |_| {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        async move { if call < failures { Err(error) } else { Ok(()) } }
    });
    (calls, service)
}

#[tokio::test(start_paused = true)]
async fn tries_once_more_by_default() {
    let (calls, service) = failing(1, "down");
    let retrying = RetryLayer::new(Config::default(), Repeatable).layer(service);
    assert_eq!(retrying.oneshot(1).await, Ok(()));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn the_guides_make_three_attempts_after_one_and_two_seconds() {
    let (calls, service) = failing(9, "down");
    let start = Instant::now();
    let retrying = RetryLayer::new(Config::guide(), Repeatable).layer(service);
    let error = retrying.oneshot(1).await.expect_err("it fails nine times");
    assert_eq!(
        (error.attempts, error.retry, error.last),
        (3, Retry::Exhausted, "down")
    );
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_repeatable_or_final_is_tried_once() {
    for (request, error) in [(-1, "down"), (1, "no")] {
        let (calls, service) = failing(9, error);
        let retrying = RetryLayer::new(Config::default(), Repeatable).layer(service);
        let failure = retrying.oneshot(request).await.expect_err("it fails");
        assert_eq!(failure.retry, Retry::Never);
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_fails_the_budget_bounds_the_load() {
    for per_second in [50_u32, 1_000] {
        let (calls, service) = failing(u32::MAX, "down");
        let config = Config {
            retries: 3,
            ..Config::default()
        };
        let layer = RetryLayer::new(config, Repeatable);
        let start = Instant::now();
        let requests = 20 * per_second;
        for _ in 0..requests {
            tokio::time::advance(Duration::from_secs(1) / per_second).await;
            let _ = layer.layer(service.clone()).oneshot(1).await;
        }
        // Backoff takes time of the test, which earns reserve as well.
        let most = f64::from(requests) * 1.2 + 10.0 * start.elapsed().as_secs_f64() + 10.0;
        let made = calls.load(Ordering::Relaxed);
        assert!(
            f64::from(made) <= most,
            "{made} calls for {requests} requests"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_caller_may_retry_and_a_second_gives_ten() {
    let budget = Budget::default();
    assert_eq!((0..100).filter(|_| budget.try_withdraw()).count(), 10);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!((0..100).filter(|_| budget.try_withdraw()).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn requests_pay_for_a_fifth_of_their_number_for_ten_seconds() {
    let budget = Budget::new(BudgetConfig {
        per_second: 0,
        ..BudgetConfig::default()
    });
    for _ in 0..100 {
        budget.deposit();
    }
    assert_eq!(
        (0..100).filter(|_| budget.clone().try_withdraw()).count(),
        20
    );
    for _ in 0..100 {
        budget.deposit();
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(!budget.try_withdraw());
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_the_budget() {
    let config = Config {
        retries: 10,
        budget: BudgetConfig {
            percent: 0,
            per_second: 1,
            ..BudgetConfig::default()
        },
        ..Config::default()
    };
    let layer = RetryLayer::with_budget(
        config,
        Repeatable,
        Budget::new(config.budget),
        Rng::seeded(1),
    );
    let (calls, service) = failing(u32::MAX, "down");
    let (_, _) = tokio::join!(
        layer.layer(service.clone()).oneshot(1),
        layer.layer(service).oneshot(1)
    );
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 4, "{calls} calls");
}

#[test]
fn settings_are_checked() {
    assert_eq!(Config::default().invalid(), []);
    assert_eq!(Config::guide().invalid(), []);
    assert_eq!(
        Config {
            retries: 11,
            ..Config::default()
        }
        .invalid()
        .len(),
        1
    );
    let budget = BudgetConfig {
        percent: 101,
        ..BudgetConfig::default()
    };
    assert_eq!(budget.invalid().len(), 1);
}
