//! Behaviour, on virtual time.

use std::convert::Infallible;
use std::time::Duration;

use ieum_base::HumanDuration;
use ieum_base::testing::pass;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

fn small(in_flight: u32, queue: u32) -> Config {
    Config {
        in_flight,
        queue,
        wait: HumanDuration::from_secs(1),
    }
}

#[tokio::test(start_paused = true)]
async fn admits_as_many_as_configured_and_no_more() {
    let bulkhead = Bulkhead::new(small(2, 0));
    let first = bulkhead.acquire().await.expect("a place");
    let _second = bulkhead.acquire().await.expect("a place");
    assert_eq!(bulkhead.acquire().await.err(), Some(Full::Queue));
    assert_eq!(bulkhead.in_flight(), 2);
    drop(first);
    assert!(bulkhead.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length_and_time() {
    let bulkhead = Bulkhead::new(small(1, 1));
    let _place = bulkhead.acquire().await.expect("a place");
    let (waited, refused) = tokio::join!(bulkhead.acquire(), bulkhead.acquire());
    assert_eq!(waited.err(), Some(Full::Wait));
    assert_eq!(refused.err(), Some(Full::Queue));
    assert_eq!(bulkhead.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_place_that_becomes_free() {
    let bulkhead = Bulkhead::new(small(1, 1));
    let place = bulkhead.acquire().await.expect("a place");
    let release = async {
        pass(Duration::from_millis(900)).await;
        drop(place);
    };
    let (waited, ()) = tokio::join!(bulkhead.acquire(), release);
    assert!(waited.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_leaves_the_queue() {
    let bulkhead = Bulkhead::new(small(1, 1));
    let _place = bulkhead.acquire().await.expect("a place");
    let wait = tokio::time::timeout(Duration::from_millis(10), bulkhead.acquire()).await;
    assert!(wait.is_err());
    assert_eq!(bulkhead.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_the_places() {
    let layer = BulkheadLayer::new(small(1, 0));
    let slow = service_fn(|()| async {
        pass(Duration::from_secs(5)).await;
        Ok::<_, Infallible>(())
    });
    let (first, second) =
        tokio::join!(layer.layer(slow).oneshot(()), layer.layer(slow).oneshot(()));
    assert_eq!(first, Ok(()));
    assert_eq!(second, Err(Error::Full(Full::Queue)));
}

#[test]
fn nonsense_is_named() {
    assert_eq!(Config::default().invalid(), []);
    let nonsense = Config {
        in_flight: 0,
        ..Config::default()
    };
    assert_eq!(nonsense.invalid().len(), 1);
}
