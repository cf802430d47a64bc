//! Behaviour, on virtual time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::testing::pass;

use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes() {
    let quick = service_fn(|()| async {
        pass(Duration::from_secs(2)).await;
        Ok::<_, Infallible>("done")
    });
    let limited = TimeoutLayer::new(Duration::from_secs(3)).layer(quick);
    assert_eq!(limited.oneshot(()).await, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_cancelled() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let endless = service_fn(move |()| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(())
        }
    });
    let limited = TimeoutLayer::new(Duration::from_secs(3)).layer(endless);
    let mut call = Box::pin(limited.clone().oneshot(()));
    let result = (&mut call).await;
    let elapsed = Elapsed {
        after: Duration::from_secs(3),
    };
    assert_eq!(result, Err(Error::Elapsed(elapsed)));
    assert_eq!(elapsed.to_string(), "no answer within 3s");
    drop(limited);
    drop(call);
    assert_eq!(Arc::strong_count(&alive), 1, "the call was left running");
}

#[test]
fn the_time_is_divided_among_the_attempts() {
    assert_eq!(Config::default().per_try(1), Duration::from_millis(7_500));
    assert_eq!(Config::default().invalid(), []);
}
