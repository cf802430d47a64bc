//! What the adapter sends beside the body, and what it makes of answers that are none.

use crate::stub::Stub;
use axum::Router;
use axum::http::{StatusCode, header};
use ieum_base::trace::{self, TraceContext};
use ieum_base::{EngineUrl, Rng, Stop, Tasks};
use ieum_eventstore::{Filter, Position};
use ieum_messaging::{ErrorKind, Message};
use ieum_remote::connect;

fn platform(url: &str) -> ieum_remote::Result<ieum_remote::Platform> {
    let url: EngineUrl = url.parse().expect("an engine URL");
    connect(&url, &Tasks::new(Stop::new()))
}

#[tokio::test]
async fn carries_the_token_and_the_trace() {
    let stub = Stub::start().await;
    let context = TraceContext::root(&Rng::seeded(1), true);
    let log = stub.platform.event_store();
    let head = trace::scope(context.clone(), async { log.head().await }).await;
    assert_eq!(head.expect("a head").position, Position::START);
    let seen = stub.seen.lock().expect("not poisoned");
    assert_eq!(seen[0]["authorization"], "Bearer s3cret");
    let traceparent = seen[0]["traceparent"].to_str().expect("text");
    let sent = TraceContext::parse(traceparent).expect("a context");
    assert_eq!(sent.trace_id, context.trace_id);
}

#[tokio::test]
async fn a_proxy_in_between_is_no_answer() {
    for status in [
        StatusCode::BAD_GATEWAY,
        StatusCode::NOT_FOUND,
        StatusCode::UNAUTHORIZED,
    ] {
        let page = (
            status,
            [(header::CONTENT_TYPE, "text/html")],
            "<h1>proxy</h1>",
        );
        let router = Router::new().fallback(move || async move { page });
        let stub = Stub::serve(router, Default::default()).await;
        let message = Message::new("/s", "1", "t", &()).expect("json");
        let published = stub
            .platform
            .publisher()
            .publish("things", &[message])
            .await;
        let error = published.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_defect() {
    let router = Router::new().fallback(|| async { "{\"position\":" });
    let stub = Stub::serve(router, Default::default()).await;
    let (log, all) = (stub.platform.event_store(), Filter::default());
    let read = log.read_all(Position::START, &all, 10).await;
    let error = read.expect_err("unreadable");
    assert_eq!(error.kind(), &ieum_eventstore::ErrorKind::Internal);
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn a_platform_that_is_away_is_unavailable() {
    let platform = platform("ieum://127.0.0.1:1").expect("a URL");
    let error = platform.event_store().head().await.expect_err("away");
    assert_eq!(error.kind(), &ieum_eventstore::ErrorKind::Unavailable);
    let error = platform
        .groups()
        .join("things", "readers", "reader-1")
        .await;
    assert_eq!(error.expect_err("away").kind(), ErrorKind::Unavailable);
    let error = platform.sagas().liveness().await.expect_err("away");
    assert_eq!(error.kind(), ieum_remote::ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_operator_is_told_what_there_is_not() {
    let stub = Stub::serve(Router::new(), Default::default()).await;
    let error = stub.platform.sagas().get("7").await.expect_err("none");
    assert_eq!(error.kind(), ieum_remote::ErrorKind::NotFound);
    let error = stub.platform.trace("../7").await.expect_err("none");
    assert_eq!(error.kind(), ieum_remote::ErrorKind::NotFound);
}

#[tokio::test]
async fn wrong_urls_are_refused_with_an_example() {
    for wrong in [
        "consul://127.0.0.1:8500",
        "ieum:",
        "ieum://",
        "ieum://host/path",
        "ieum://a?b",
    ] {
        let error = platform(wrong).expect_err(wrong);
        assert_eq!(error.kind(), ieum_remote::ErrorKind::Invalid);
        assert!(
            error.to_string().contains("ieum://127.0.0.1:8500"),
            "{error}"
        );
    }
    let error = platform("ieum://:s3cr\net@127.0.0.1:8500").expect_err("a token");
    assert!(!error.to_string().contains("s3cr"), "{error}");
}
