//! The suite of limit stores; the same arithmetic as in memory; two processes without their server.

use std::sync::Arc;
use std::time::Duration;

use ieum_redis::Limits;
use ieum_resilience::Quota;
use ieum_resilience::rate_limit::{SharedLimiter, Store, conformance};
use ieum_testkit::conformance::record;
use tokio::time::Instant;

use super::server::{calm, connect, eventually, own, url};

#[tokio::test]
async fn the_store_of_limits_keeps_its_promises() {
    let (one, tasks) = connect(&calm()).await;
    let connecting = async || Arc::new(Limits::new(one.clone())) as Arc<dyn Store>;
    let report = conformance::run(connecting, tokio::time::sleep).await;
    record("rate limit", "Redis", &report.passed, &report.failed, &[]);
    assert_eq!(report.failed, []);
    assert_eq!(report.passed, conformance::names());
    tasks.stop().request();
}

/// Never more than the burst and the rate, and hardly less, at rates that divide nothing evenly.
#[tokio::test]
async fn a_rate_is_held_exactly() {
    let (connection, tasks) = connect(&calm()).await;
    let limits = Limits::new(connection);
    for (rate, burst) in [(333, 7), (70, 1)] {
        let quota = Quota::new(rate, Duration::from_secs(1), burst);
        let key = format!("rate-{rate}");
        let begun = Instant::now();
        let mut admitted = 0;
        while begun.elapsed() < Duration::from_millis(1_500) {
            admitted += u32::from(limits.admit(&key, quota).await.expect("asked").is_ok());
        }
        let most = f64::from(burst) + begun.elapsed().as_secs_f64() * f64::from(rate) + 1.0;
        let found = f64::from(admitted);
        assert!(found <= most, "{rate}: {found} of {most}");
        assert!(found > 0.8 * most - 2.0, "{rate}: only {found} of {most}");
    }
    tasks.stop().request();
}

/// Two gateways, one server that is killed and started again: at most twice the rate, and no request
/// waits.
#[tokio::test]
async fn two_gateways_stay_within_twice_the_rate_without_their_server() {
    let mut server = own();
    let url = url(&server, "");
    let (a, tasks) = connect(&url).await;
    let (b, others) = connect(&url).await;
    let quota = Quota::new(200, Duration::from_secs(1), 20);
    let limiter = |connection| {
        let store = Arc::new(Limits::new(connection)) as Arc<dyn Store>;
        SharedLimiter::new("route", quota, store, 100)
    };
    let gateways = [limiter(a), limiter(b)];
    let admitted = async |time: Duration| {
        let begun = Instant::now();
        let (mut admitted, mut longest) = (0, Duration::ZERO);
        while begun.elapsed() < time {
            for gateway in &gateways {
                let asked = Instant::now();
                admitted += u32::from(gateway.check(&(), "all").await.is_ok());
                longest = longest.max(asked.elapsed());
            }
        }
        (admitted, longest)
    };
    let second = Duration::from_secs(1);
    let (with, _) = admitted(second).await;
    assert!((200..=222).contains(&with), "{with} with the server");
    server.kill().expect("killed");
    let (without, longest) = admitted(second).await;
    assert!((200..=2 * 222).contains(&without), "{without} without it");
    assert!(
        longest < Duration::from_millis(200),
        "one waited for {longest:?}"
    );
    server.start_again().expect("started again");
    let alone = gateways[0].alone();
    eventually("the server counts again", async || {
        let before = gateways[0].alone();
        let _ = gateways[0].check(&(), "all").await;
        gateways[0].alone() == before
    })
    .await;
    assert!(alone > 0);
    let (again, _) = admitted(second).await;
    assert!(
        (180..=222 + 20).contains(&again),
        "{again} with the server again"
    );
    tasks.stop().request();
    others.stop().request();
}
