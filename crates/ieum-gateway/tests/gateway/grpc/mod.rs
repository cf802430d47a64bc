//! gRPC through the gateway: what passes both ways, how it is refused, and what is tried again.

mod bounds;
mod support;

use std::time::Duration;

use ieum_base::{Stop, Tasks};
use ieum_grpc::{Code, timeout};
use ieum_testkit::Request;

use crate::support::{assert_problem, gateway, nobody};
use support::{METHOD, ask, call, connect, finish, framed, open, piece, rest, with};

#[test]
fn a_call_passes_with_head_message_and_trailers() {
    with("", async |_, mut service, mut caller| {
        let headers = [
            ("x-own", "kept"),
            ("x-user-id", "forged"),
            ("user_id", "forged"),
            ("grpc-timeout", "10S"),
            ("x-request-id", "r-1"),
        ];
        let asks = ask(&mut caller, METHOD, &headers);
        let mut asked = service.asked().await;
        assert_eq!(asked.head.uri.path(), METHOD);
        assert_eq!(asked.header("te"), Some("trailers"));
        assert_eq!(asked.header("content-type"), Some("application/grpc+proto"));
        assert_eq!(asked.header("x-own"), Some("kept"));
        assert_eq!(asked.header("x-request-id"), Some("r-1"));
        assert_eq!(
            (asked.header("x-user-id"), asked.header("user_id")),
            (None, None)
        );
        assert!(asked.header("traceparent").is_some());
        let left = timeout::parse(&asked.head.headers["grpc-timeout"]).expect("valid");
        assert!(
            left < Duration::from_secs(10) && left > Duration::from_secs(8),
            "{left:?}"
        );
        assert_eq!(piece(&mut asked.body).await, framed("question"));
        assert!(asked.body.data().await.is_none());
        asked.answer("answer", Code::Ok);
        let ended = asks.ended().await;
        assert_eq!(ended.code(), Some(Code::Ok));
        assert_eq!(ended.body, framed("answer"));
        assert_eq!(ended.head["x-head"], "yes");
        assert_eq!(ended.trailers["x-tail"], "yes");
    });
}

#[test]
fn both_sides_of_a_stream_speak_whenever_they_want() {
    with("", async |_, mut service, mut caller| {
        let mut asks = call(&mut caller, METHOD, &[]);
        asks.upload.send_data(framed("1"), false).expect("open");
        let mut asked = service.asked().await;
        assert_eq!(piece(&mut asked.body).await, framed("1"));
        let mut answer = asked.begin();
        let mut upload = asks.upload;
        let response = asks.response.await.expect("answered");
        let (head, mut body) = response.into_parts();
        for turn in ["2", "3", "4"] {
            answer.send_data(framed(turn), false).expect("open");
            assert_eq!(piece(&mut body).await, framed(turn));
            upload.send_data(framed(turn), false).expect("open");
            assert_eq!(piece(&mut asked.body).await, framed(turn));
        }
        // The caller has said everything, the service has not.
        upload.send_data(framed("last"), true).expect("open");
        assert_eq!(piece(&mut asked.body).await, framed("last"));
        assert!(asked.body.data().await.is_none());
        answer.send_data(framed("more"), false).expect("open");
        finish(&mut answer, Code::NotFound);
        let ended = rest(head.headers, body).await;
        assert_eq!(
            (ended.code(), ended.body.as_slice()),
            (Some(Code::NotFound), &*framed("more"))
        );
    });
}

#[test]
fn a_caller_that_leaves_takes_its_call_along() {
    with("", async |_, mut service, mut caller| {
        let mut before_the_head = {
            let _asks = ask(&mut caller, METHOD, &[]);
            service.asked().await
        };
        assert_eq!(before_the_head.is_reset().await, h2::Reason::CANCEL);
        // In the middle of a stream on which nobody says anything.
        let asks = call(&mut caller, METHOD, &[]);
        let mut asked = service.asked().await;
        let _answer = asked.begin();
        drop(asks.response.await.expect("answered"));
        drop(asks.upload);
        let broke_off = asked.body.data().await;
        assert!(matches!(broke_off, Some(Err(_))), "{broke_off:?}");
    });
}

#[test]
fn a_caller_is_refused_in_its_own_language() {
    let routes = format!(
        "[[gateway.routes]]\nname = 'locked'\npath = '/locked.v1.A'\ngrpc = true\nservice = 'x'\n\
         [[gateway.routes]]\nname = 'absent'\npath = '/absent.v1.A'\nauth = 'none'\ngrpc = true\n\
         service = 'nobody'\n\
         [[gateway.routes]]\nname = 'deaf'\npath = '/deaf.v1.A'\nauth = 'none'\ngrpc = true\n\
         url = 'http://{}'\n\
         [[gateway.routes]]\nname = 'few'\npath = '/few.v1.A'\nauth = 'none'\ngrpc = true\n\
         service = 'nobody'\nrate-limit = {{ requests = 1, per = '1h', by = 'route' }}\n",
        nobody()
    );
    let world = gateway(&routes);
    world.runtime.block_on(async {
        let tasks = Tasks::new(Stop::new());
        let mut caller = connect(&world, &tasks).await;
        for (path, code, ours) in [
            ("/unknown.v1.A/B", Code::Unimplemented, "IEUM-1010"),
            ("/locked.v1.A/B", Code::PermissionDenied, "IEUM-1023"),
            ("/locked.v1.Another/B", Code::Unimplemented, "IEUM-1010"),
            ("/absent.v1.A/B", Code::Unavailable, "IEUM-1040"),
            ("/deaf.v1.A/B", Code::Unavailable, "IEUM-1043"),
            ("/few.v1.A/B", Code::Unavailable, "IEUM-1040"),
            ("/few.v1.A/B", Code::ResourceExhausted, "IEUM-1030"),
        ] {
            let ended = ask(&mut caller, path, &[]).ended().await;
            ended.assert_refused(code, ours);
            assert!(ended.head.contains_key("x-request-id"), "{path}");
        }
        let badly_timed = ask(&mut caller, "/absent.v1.A/B", &[("grpc-timeout", "soon")]);
        badly_timed
            .ended()
            .await
            .assert_refused(Code::InvalidArgument, "IEUM-1000");
    });
}

#[test]
fn what_is_not_grpc_is_refused_in_http() {
    let world = open(&nobody(), "");
    let json = Request::new("POST", METHOD).header("content-type", "application/json");
    assert_problem(
        &world.send(&json),
        415,
        "Unsupported Media Type",
        "IEUM-1007",
    );
    let web = Request::new("POST", METHOD).header("content-type", "application/grpc-web+proto");
    assert_problem(
        &world.send(&web),
        415,
        "Unsupported Media Type",
        "IEUM-1007",
    );
    let grpc = Request::new("POST", METHOD).header("content-type", "application/grpc");
    assert_problem(
        &world.send(&grpc),
        505,
        "HTTP Version Not Supported",
        "IEUM-1008",
    );
}

#[test]
fn what_the_service_did_not_process_is_sent_again_whatever_it_is() {
    with("", async |world, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[]);
        service.asked().await.reset(h2::Reason::REFUSED_STREAM);
        let mut again = service.asked().await;
        assert_eq!(piece(&mut again.body).await, framed("question"));
        again.answer("answer", Code::Ok);
        assert_eq!(asks.ended().await.code(), Some(Code::Ok));
        assert_eq!(world.metric("ieum_gateway_retries_total"), 1.0);
    });
}

#[test]
fn unavailable_is_tried_again_only_where_the_route_says_that_methods_may_be_called_twice() {
    with("", async |_, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[]);
        service.asked().await.end(Code::Unavailable);
        let ended = asks.ended().await;
        assert_eq!(ended.code(), Some(Code::Unavailable));
        assert!(
            !ended.head.contains_key("ieum-code"),
            "it is the service's own word"
        );
        assert!(service.is_quiet());
    });
    with("idempotent = true", async |_, mut service, mut caller| {
        let asks = ask(&mut caller, METHOD, &[]);
        service.asked().await.end(Code::Unavailable);
        service.asked().await.answer("answer", Code::Ok);
        assert_eq!(asks.ended().await.code(), Some(Code::Ok));
        // No other status, and nothing that has begun.
        let asks = ask(&mut caller, METHOD, &[]);
        service.asked().await.end(Code::Internal);
        assert_eq!(asks.ended().await.code(), Some(Code::Internal));
        let asks = ask(&mut caller, METHOD, &[]);
        service.asked().await.answer("half", Code::Unavailable);
        assert_eq!(asks.ended().await.code(), Some(Code::Unavailable));
        assert!(service.is_quiet());
    });
}

#[test]
fn a_service_that_does_not_speak_grpc_becomes_a_status() {
    with("", async |_, mut service, mut caller| {
        for (status, code) in [(404, Code::Unimplemented), (503, Code::Unavailable)] {
            let asks = ask(&mut caller, METHOD, &[]);
            service.asked().await.answer_http(status);
            asks.ended().await.assert_refused(code, "IEUM-1044");
        }
    });
}
