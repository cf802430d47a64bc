//! Calls to services over real loopback sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

mod graphql;
#[cfg(feature = "grpc")]
mod grpc;
mod setup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use ieum_base::trace::{self, SpanKind, TraceContext};
use ieum_base::{ByteSize, Fault, Retry, Secret};
use ieum_client::ErrorKind;
use ieum_discovery::{Registration, Registry};
use ieum_http::{Problem, Sent};
use ieum_resilience::circuit_breaker::State;

use setup::{Stub, answer, dead_address, instance, set_up, users};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_service_is_found_by_its_name() {
    let stub = Stub::start(|_| answer(StatusCode::OK, r#"{"name":"Ada"}"#));
    let setup = set_up(|_| {});
    let registration = Registration {
        instance: instance(1, stub.address),
        checks: Vec::new(),
    };
    setup
        .registry
        .register(registration)
        .await
        .expect("registered");
    let answer = setup.client.service("users").get("/users/1").send().await;
    let answer = answer.expect("answered");
    let user: BTreeMap<String, String> = answer.json().expect("JSON");
    assert_eq!(user["name"], "Ada");
    assert_eq!(stub.header(0, "host"), Some(stub.address.to_string()));
}

#[tokio::test]
async fn a_call_carries_trace_identity_token_key_query_and_body() {
    let stub = Stub::answering(StatusCode::CREATED);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    let context = TraceContext::root(&ieum_base::Rng::system(), true);
    let call = users
        .post("/users?a=1")
        .query("search", "가죽 & co")
        .header("x-extra", "1")
        .bearer(&Secret::new("token".to_owned()))
        .on_behalf_of("u-1", &["buyer", "admin"])
        .idempotency_key("k-1")
        .json(&serde_json::json!({"name": "Ada"}));
    let answer = trace::scope(context.clone(), call.send())
        .await
        .expect("answered");
    assert_eq!(
        (answer.status(), answer.attempts()),
        (StatusCode::CREATED, 1)
    );

    for (name, value) in [
        ("x-extra", "1"),
        ("authorization", "Bearer token"),
        ("x-user-id", "u-1"),
        ("x-user-roles", "buyer,admin"),
        ("idempotency-key", "k-1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(stub.header(0, name).as_deref(), Some(value), "{name}");
    }
    let seen = stub.seen.lock().expect("not poisoned")[0].clone();
    assert_eq!(
        seen.0.uri,
        "/users?a=1&search=%EA%B0%80%EC%A3%BD%20%26%20co"
    );
    assert_eq!(seen.1, r#"{"name":"Ada"}"#);

    let span = setup.spans.0.lock().expect("not poisoned")[0].clone();
    assert_eq!((&*span.name, span.kind), ("POST users", SpanKind::Client));
    assert_eq!(span.parent, Some(context.span_id));
    let sent = stub.header(0, "traceparent").expect("traced");
    // Sampled, and with an id that is random.
    assert_eq!(sent, format!("00-{}-{}-03", context.trace_id, span.span_id));
}

#[tokio::test]
async fn a_refusal_is_told_from_not_found_from_not_available() {
    use ErrorKind::{Failed, NotFound, Rejected, Timeout, Unavailable};
    for (status, kind, fault, retry) in [
        (404, NotFound, Fault::Caller, Retry::Never),
        (410, NotFound, Fault::Caller, Retry::Never),
        (401, Rejected, Fault::Caller, Retry::Never),
        (409, Rejected, Fault::Caller, Retry::Never),
        (422, Rejected, Fault::Caller, Retry::Never),
        (408, Rejected, Fault::Caller, Retry::SOON),
        (500, Failed, Fault::Upstream, Retry::SOON),
        (502, Unavailable, Fault::Upstream, Retry::SOON),
        (503, Unavailable, Fault::Upstream, Retry::SOON),
        (504, Timeout, Fault::Upstream, Retry::SOON),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let stub = Stub::start(move |_| Problem::new(status).code("a-code").into_response());
        let setup = set_up(|config| config.retry.retries = 0);
        let error = users(&setup, &[stub.address]).get("/x").send().await;
        let error = error.expect_err("refused");
        assert_eq!(
            (error.kind(), error.fault(), error.retry()),
            (kind, fault, retry),
            "{status}"
        );
        assert_eq!(
            (error.status(), error.code()),
            (Some(status), Some("a-code"))
        );
        assert_eq!(error.sent(), Sent::Sent);
    }
}

#[tokio::test]
async fn any_answer_is_an_answer_for_whoever_asks_so() {
    let stub = Stub::answering(StatusCode::CONFLICT);
    let setup = set_up(|_| {});
    let answer = users(&setup, &[stub.address]).post("/x").send_any().await;
    assert_eq!(answer.expect("answered").status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_never_left_goes_to_another_endpoint_whatever_the_method() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|_| {});
    let users = users(&setup, &[dead_address(), stub.address]);
    let mut attempts = Vec::new();
    for _ in 0..2 {
        let answer = users.post("/x").send().await.expect("answered");
        attempts.push(answer.attempts());
    }
    assert_eq!((attempts.iter().max(), stub.count()), (Some(&2), 2));
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_elsewhere_only_if_that_is_harmless() {
    let setup = set_up(|_| {});
    for (repeated, key) in [(false, None), (true, Some("k-1"))] {
        let ill = Stub::answering(StatusCode::SERVICE_UNAVAILABLE);
        let well = Stub::answering(StatusCode::OK);
        let users = users(&setup, &[ill.address, well.address]);
        let mut failures = 0;
        for _ in 0..2 {
            let call = users.post("/charge");
            let call = key.iter().fold(call, |call, key| call.idempotency_key(key));
            failures += usize::from(call.send().await.is_err());
        }
        assert_eq!(failures, usize::from(!repeated));
        assert!(ill.count() >= 1);
        assert_eq!(well.count(), 1 + usize::from(repeated));
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout_that_the_endpoint_is_blamed_for() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|config| config.retry.retries = 0);
    let users = users(&setup, &[stub.address]);
    let error = users.get("/hang").timeout(SECOND / 10).send().await;
    let error = error.expect_err("late");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Timeout, Sent::Sent)
    );
    let endpoint = &users.discovered().endpoints()[0];
    assert_eq!(endpoint.breaker().snapshot().failures, 1);
    assert_eq!(endpoint.load().in_flight(), 0);
}

#[tokio::test]
async fn each_attempt_gets_its_share_of_the_time() {
    let stuck = Stub::answering(StatusCode::OK);
    let well = Stub::answering(StatusCode::OK);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stuck.address, well.address]);
    well.gate.notify_one();
    well.gate.notify_one();
    for _ in 0..2 {
        let call = users.get("/hang").timeout(SECOND / 2);
        call.send().await.expect("the second attempt has time left");
        well.gate.notify_one();
    }
    assert!(stuck.count() >= 1);
}

#[tokio::test]
async fn a_call_that_cannot_be_repeated_gets_all_the_time() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    for (call, attempts) in [(users.post("/hang"), 1), (users.get("/hang"), 2)] {
        let began = tokio::time::Instant::now();
        let error = call.timeout(SECOND / 5).send().await.expect_err("late");
        assert!(began.elapsed() >= SECOND / 5);
        assert_eq!(
            (error.kind(), error.attempts()),
            (ErrorKind::Timeout, attempts)
        );
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_running() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    tokio::select! {
        _ = users.get("/hang").send() => unreachable!("it hangs"),
        () = stub.entered.notified() => {}
    }
    let endpoint = &users.discovered().endpoints()[0];
    assert_eq!(endpoint.load().in_flight(), 0);
    assert_eq!(endpoint.breaker().snapshot().failures, 0);
    while setup.client.http().pool().open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn retries_are_bounded_by_the_budget() {
    let stub = Stub::answering(StatusCode::SERVICE_UNAVAILABLE);
    let setup = set_up(|config| config.retry.retries = 3);
    let users = users(&setup, &[stub.address]);
    let breaker = users.discovered().endpoints()[0].breaker().clone();
    for _ in 0..100 {
        users.get("/x").send().await.expect_err("refused");
        breaker.reset();
    }
    let bound = 100 + 20 + 10 + 10;
    assert!((101..=bound).contains(&stub.count()), "{}", stub.count());
}

#[tokio::test]
async fn an_open_breaker_answers_without_a_call() {
    let stub = Stub::answering(StatusCode::INTERNAL_SERVER_ERROR);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    let endpoint = Arc::clone(&users.discovered().endpoints()[0]);
    while endpoint.breaker().state() == State::Closed {
        users.get("/x").send().await.expect_err("failed");
    }
    let before = stub.count();
    let error = users.get("/x").send().await.expect_err("open");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Unavailable, Sent::NotSent)
    );
    assert!(matches!(error.retry(), Retry::After(wait) if !wait.is_zero()));
    assert_eq!(stub.count(), before);
}

#[tokio::test]
async fn a_service_without_instances_is_not_available() {
    let setup = set_up(|_| {});
    let error = setup.client.service("users").get("/x").send().await;
    let error = error.expect_err("nobody");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Unavailable, Sent::NotSent)
    );
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "no instance is registered");
}

#[tokio::test]
async fn a_full_bulkhead_refuses_without_blaming_the_endpoint() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|config| {
        config.bulkhead.in_flight = 1;
        config.bulkhead.queue = 0;
    });
    let users = users(&setup, &[stub.address]);
    let second = async {
        stub.entered.notified().await;
        let refused = users.get("/x").send().await.expect_err("full");
        stub.gate.notify_one();
        refused
    };
    let (first, refused) = tokio::join!(users.get("/hang").send(), second);
    first.expect("answered");
    assert_eq!(
        (refused.kind(), refused.sent()),
        (ErrorKind::Unavailable, Sent::NotSent)
    );
    let breaker = users.discovered().endpoints()[0].breaker().snapshot();
    assert_eq!(breaker.failures, 0);
}

#[tokio::test]
async fn too_many_requests_is_repeated_only_at_a_time_that_fits() {
    for (wait, expected) in [("0", 2), ("60", 1)] {
        let stub = Stub::start(move |nth| {
            let status = if nth == 0 { 429 } else { 200 };
            let answer = Response::builder()
                .status(status)
                .header("retry-after", wait);
            answer.body(Bytes::new()).expect("valid")
        });
        let setup = set_up(|_| {});
        let answer = users(&setup, &[stub.address]).get("/x").send_any().await;
        let answer = answer.expect("answered");
        assert_eq!(
            (stub.count(), answer.attempts()),
            (expected as usize, expected)
        );
    }
}

#[tokio::test]
async fn an_answer_above_the_limit_or_of_another_shape_cannot_be_read() {
    let stub = Stub::start(|_| answer(StatusCode::OK, "a text of some length"));
    let setup = set_up(|config| config.max_answer = ByteSize(8));
    let error = users(&setup, &[stub.address]).get("/x").send().await;
    assert_eq!(error.expect_err("too large").kind(), ErrorKind::Decode);

    let setup = set_up(|_| {});
    let text = users(&setup, &[stub.address]).get("/x").send().await;
    let error = text
        .expect("answered")
        .json::<u32>()
        .expect_err("no number");
    assert_eq!(
        (error.kind(), error.service()),
        (ErrorKind::Decode, "users")
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_and_not_sent() {
    let stub = Stub::answering(StatusCode::OK);
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    for call in [
        users.get("relative"),
        users.get("http://elsewhere/x"),
        users.get("/a b"),
        users.get("/x").header("a b", "c"),
        users.get("/x").on_behalf_of("u\r\nx-admin: 1", &["buyer"]),
    ] {
        let error = call.send().await.expect_err("invalid");
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Invalid, Retry::Never)
        );
    }
    assert_eq!(stub.count(), 0);
}
