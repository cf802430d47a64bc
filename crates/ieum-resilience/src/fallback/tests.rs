//! Behaviour.

use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

async fn call(error: Option<&'static str>) -> Result<&'static str, &'static str> {
    let inner = service_fn(move |_: u8| async move { error.map_or(Ok("fresh"), Err) });
    let stale = |error| {
        if error == "no" {
            Err(error)
        } else {
            Ok("stale")
        }
    };
    FallbackLayer::new(stale).layer(inner).oneshot(1).await
}

#[tokio::test]
async fn answers_what_failed_and_only_that() {
    assert_eq!(call(None).await, Ok("fresh"));
    assert_eq!(call(Some("down")).await, Ok("stale"));
    assert_eq!(
        call(Some("no")).await,
        Err("no"),
        "the handler hands on what is the caller's fault"
    );
}

#[tokio::test]
async fn an_alternate_service_gets_the_same_request() {
    let down = service_fn(|_: u8| async { Err::<u8, _>("down") });
    let alternate = service_fn(|request: u8| async move { Ok::<_, &str>(request + 1) });
    let service = FallbackLayer::to(alternate).layer(down);
    assert_eq!(service.oneshot(41).await, Ok(42));
}
