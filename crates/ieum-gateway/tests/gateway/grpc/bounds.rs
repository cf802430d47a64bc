//! How large, how long, and what tells against an endpoint.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use ieum_grpc::{Code, Prefix};
use tokio::time::Instant;

use super::support::{METHOD, Service, ask, call, finish, framed, is_reset, piece, rest, with};

/// The prefix of a message of 100 MiB.
fn huge() -> Bytes {
    let prefix = Prefix {
        is_compressed: false,
        length: 100 << 20,
    };
    Bytes::copy_from_slice(&prefix.write())
}

#[test]
fn a_message_of_100_mebibytes_is_refused_at_its_prefix() {
    with("", async |_, mut service, mut caller| {
        let begun = Instant::now();
        let mut asks = call(&mut caller, METHOD, &[]);
        asks.upload.send_data(huge(), false).expect("open");
        let ended = asks.ended().await;
        assert!(
            begun.elapsed() < Duration::from_millis(50),
            "{:?}",
            begun.elapsed()
        );
        ended.assert_refused(Code::ResourceExhausted, "IEUM-1009");
        // The service has seen a call that was taken back, and not a byte of it.
        let mut asked = service.asked().await;
        let broke_off = asked.body.data().await;
        assert!(matches!(broke_off, Some(Err(_))), "{broke_off:?}");
    });
}

#[test]
fn a_message_that_is_too_large_ends_a_stream_that_went_well_before() {
    with("max-message = '10B'", async |_, mut service, mut caller| {
        let mut asks = call(&mut caller, METHOD, &[]);
        asks.upload
            .send_data(framed("0123456789"), false)
            .expect("open");
        let mut asked = service.asked().await;
        assert_eq!(piece(&mut asked.body).await, framed("0123456789"));
        let _answer = asked.begin();
        asks.upload
            .send_data(framed("01234567890"), false)
            .expect("open");
        asks.ended()
            .await
            .assert_refused(Code::ResourceExhausted, "IEUM-1009");
    });
}

#[test]
fn an_answer_with_a_message_that_is_too_large_ends_at_its_prefix() {
    with("", async |_, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        answer.send_data(framed("small"), false).expect("open");
        answer.send_data(huge(), false).expect("open");
        let ended = asks.ended().await;
        ended.assert_refused(Code::ResourceExhausted, "IEUM-1009");
        assert_eq!(ended.body, framed("small"));
        assert_eq!(is_reset(&mut answer).await, h2::Reason::CANCEL);
    });
}

#[test]
fn the_callers_deadline_ends_a_call_before_and_after_its_head() {
    with("", async |_, mut service, mut caller| {
        let soon = [("grpc-timeout", "50m")];
        let asks = ask(&mut caller, METHOD, &soon);
        let mut asked = service.asked().await;
        asks.ended()
            .await
            .assert_refused(Code::DeadlineExceeded, "IEUM-1013");
        assert_eq!(asked.is_reset().await, h2::Reason::CANCEL);

        // Also for one who has not said everything.
        let asks = call(&mut caller, METHOD, &soon);
        let _asked = service.asked().await;
        asks.ended()
            .await
            .assert_refused(Code::DeadlineExceeded, "IEUM-1013");

        let asks = call(&mut caller, METHOD, &soon);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        answer.send_data(framed("one"), false).expect("open");
        let (head, body) = asks.head().await;
        let ended = rest(head.headers, body).await;
        ended.assert_refused(Code::DeadlineExceeded, "IEUM-1013");
        assert_eq!(ended.body, framed("one"));
    });
}

#[test]
fn a_deadline_ends_a_stream_that_always_has_more_and_a_call_that_comes_too_late_is_not_sent() {
    with("", async |_, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[("grpc-timeout", "50m")]);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        let much = framed(&"x".repeat(1 << 20));
        answer.send_data(much, false).expect("open");
        let (head, body) = asks.head().await;
        let begun = Instant::now();
        // Its windows are full, here and at the gateway.
        while begun.elapsed() < Duration::from_millis(60) {
            tokio::task::yield_now().await;
        }
        let ended = rest(head.headers, body).await;
        ended.assert_refused(Code::DeadlineExceeded, "IEUM-1013");
        assert!(ended.body.len() < 100_000, "{}", ended.body.len());

        let asks = ask(&mut caller, METHOD, &[("grpc-timeout", "0n")]);
        let ended = asks.ended().await;
        ended.assert_refused(Code::DeadlineExceeded, "IEUM-1013");
        assert!(service.is_quiet());
    });
}

#[test]
fn the_routes_timeout_bounds_the_head_and_not_the_stream() {
    with("timeout = '50ms'", async |_, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[("grpc-timeout", "1H")]);
        let _asked = service.asked().await;
        asks.ended()
            .await
            .assert_refused(Code::DeadlineExceeded, "IEUM-1045");

        let asks = ask(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        let (head, mut body) = asks.head().await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            answer.send_data(framed("tick"), false).expect("open");
            assert_eq!(piece(&mut body).await, framed("tick"));
        }
        finish(&mut answer, Code::Ok);
        assert_eq!(rest(head.headers, body).await.code(), Some(Code::Ok));
    });
}

#[test]
fn a_stream_on_which_nobody_speaks_ends_and_one_on_which_one_side_does_goes_on() {
    let idle = "[gateway.timeouts]\nidle = '100ms'\n";
    with(idle, async |_, mut service, mut caller| {
        let asks = call(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let _answer = asked.begin();
        asks.ended()
            .await
            .assert_refused(Code::Unavailable, "IEUM-1045");

        let mut asks = call(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        let response = asks.response.await.expect("answered");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            asks.upload.send_data(framed("tick"), false).expect("open");
            assert_eq!(piece(&mut asked.body).await, framed("tick"));
        }
        finish(&mut answer, Code::Ok);
        let (head, body) = response.into_parts();
        assert_eq!(rest(head.headers, body).await.code(), Some(Code::Ok));
    });
}

#[test]
fn an_answer_that_breaks_off_ends_with_a_status() {
    with("", async |world, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let mut answer = asked.begin();
        answer.send_data(framed("half"), false).expect("open");
        let (head, mut body) = asks.head().await;
        assert_eq!(piece(&mut body).await, framed("half"));
        answer.send_reset(h2::Reason::INTERNAL_ERROR);
        let ended = rest(head.headers, body).await;
        ended.assert_refused(Code::Unavailable, "IEUM-1044");

        let asks = ask(&mut caller, METHOD, &[]);
        let mut answer = service.asked().await.begin();
        answer.send_data(Bytes::new(), true).expect("open");
        asks.ended()
            .await
            .assert_refused(Code::Unavailable, "IEUM-1044");
        let name =
            r#"ieum_gateway_grpc_answers_total{path="/shop.v1.Users",grpc_status="UNAVAILABLE"}"#;
        crate::support::wait_for("both are counted", || world.metric(name) == 2.0);
        let name = r#"api_errors_total{method="POST",path="/shop.v1.Users",status_code="503"}"#;
        assert_eq!(world.metric(name), 2.0);
    });
}

/// Calls ten times, each of which ends with this status in its trailers.
async fn ten(service: &mut Service, caller: &mut SendRequest<Bytes>, code: Code, within: &str) {
    for _ in 0..10 {
        let asks = ask(caller, METHOD, &[("grpc-timeout", within)]);
        service.asked().await.answer("some", code);
        assert_eq!(asks.ended().await.code(), Some(code));
    }
}

#[test]
fn statuses_that_a_caller_provokes_open_no_breaker() {
    with("idempotent = true", async |_, mut service, mut caller| {
        for code in [
            Code::NotFound,
            Code::PermissionDenied,
            Code::Unimplemented,
            Code::DeadlineExceeded,
        ] {
            ten(&mut service, &mut caller, code, "10S").await;
        }
        for _ in 0..10 {
            let asks = ask(&mut caller, METHOD, &[("grpc-timeout", "1m")]);
            asks.ended()
                .await
                .assert_refused(Code::DeadlineExceeded, "IEUM-1013");
        }
        let asks = ask(&mut caller, METHOD, &[]);
        loop {
            // Those that ran out of time may have reached the service.
            let asked = service.asked().await;
            if asked.header("grpc-timeout").is_none() {
                break asked.answer("well", Code::Ok);
            }
        }
        assert_eq!(asks.ended().await.code(), Some(Code::Ok));
    });
}

#[test]
fn a_failure_in_the_trailers_opens_the_breaker() {
    with("", async |_, mut service, mut caller| {
        for _ in 0..5 {
            let asks = ask(&mut caller, METHOD, &[]);
            service.asked().await.answer("some", Code::Internal);
            assert_eq!(asks.ended().await.code(), Some(Code::Internal));
        }
        let asks = ask(&mut caller, METHOD, &[]);
        asks.ended()
            .await
            .assert_refused(Code::Unavailable, "IEUM-1041");
        assert!(service.is_quiet());
    });
}
