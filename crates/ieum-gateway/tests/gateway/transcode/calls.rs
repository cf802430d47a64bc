//! Calls with one message each way.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ieum_grpc::{Code, Prefix, timeout};
use ieum_testkit::Request;
use serde_json::json;

use super::stub::{Answer, Call, GrpcStub, frame};
use super::{fixture, fixture_with};
use crate::support::{assert_problem, nobody, wait_for};

fn echo() -> GrpcStub {
    GrpcStub::start(|call: &Call| Answer::ok(&[&call.text()]))
}

#[test]
fn json_becomes_a_message_and_the_answer_becomes_json() {
    let stub = echo();
    let fixture = fixture(&stub, "", "");
    let reply = fixture.post(
        "/api/v1/things",
        &json!({ "text": "a", "large": "7", "tags": ["b"] }),
    );
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.get("content-type"), Some("application/json"));
    let body = reply.json().expect("JSON");
    assert_eq!((&body["text"], &body["large"]), (&json!("a"), &json!("7")));
    // Defaults are written.
    assert_eq!(
        (&body["flag"], &body["numbers"]),
        (&json!(false), &json!([]))
    );
    let calls = stub.calls();
    assert_eq!(calls[0].path, "/test.v1.Things/Create");
    assert_eq!(calls[0].text(), r#"text:"a",large:7,tags:["b"]"#);
    assert_eq!(calls[0].header("content-type"), Some("application/grpc"));
    assert_eq!(calls[0].header("te"), Some("trailers"));
}

#[test]
fn path_and_query_become_a_message() {
    let stub = echo();
    let fixture = fixture(&stub, "", "print-defaults = false");
    let reply = fixture.get("/api/v1/things/a%20b?small=7&tags=x&tags=y");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = json!({ "text": "a b", "small": 7, "tags": ["x", "y"] });
    assert_eq!(reply.json().expect("JSON"), expected);
    assert_eq!(stub.calls()[0].path, "/test.v1.Things/Get");
    let head = "HEAD /api/v1/things/7 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = fixture.world.raw(head.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[test]
fn what_no_method_answers_is_refused() {
    let stub = echo();
    let fixture = fixture(&stub, "", "");
    let reply = fixture.get("/api/v1/nothing");
    assert_problem(&reply, 404, "Service not found", "IEUM-1010");
    let reply = fixture.send(&Request::new("PUT", "/api/v1/things"));
    assert_problem(&reply, 405, "Method Not Allowed", "IEUM-1011");
    assert_eq!(reply.get("allow"), Some("GET, POST"));
    // Nobody asked for methods without an annotation.
    let reply = fixture.post("/api/test.v1.Things/Unannotated", &json!({}));
    assert_eq!(reply.status, 404);
    assert!(stub.calls().is_empty());
}

#[test]
fn methods_without_annotation_answer_if_the_route_says_so() {
    let stub = echo();
    let fixture = fixture(&stub, "", "unannotated = true");
    let reply = fixture.post("/api/test.v1.Things/Unannotated", &json!({ "small": 1 }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = fixture.post("/api/test.v1.Things/Upload", &json!({}));
    assert_problem(&reply, 501, "Not Implemented", "IEUM-1012");
}

#[test]
fn a_request_that_does_not_fit_is_refused_with_its_field_and_place() {
    let stub = echo();
    let fixture = fixture(&stub, "", "");
    let refused = |request: &Request, field: &str| {
        let reply = fixture.send(request);
        assert_problem(&reply, 400, "Bad Request", "IEUM-1006");
        let body = reply.json().expect("JSON");
        assert_eq!(body["field"], json!(field), "{body}");
        body
    };
    refused(&Request::new("GET", "/api/v1/things?nope=1"), "nope");
    refused(&Request::new("GET", "/api/v1/inner/a/x"), "inner.small");
    let mut request = Request::new("POST", "/api/v1/things");
    request.body = b"{\n\"others\": [{}, {\"flag\": \"hunter2\"}]}".to_vec();
    let body = refused(&request, "others[1].flag");
    assert_eq!(body["line"], 2);
    assert!(!body.to_string().contains("hunter2"), "{body}");
    request.body = b"{\"text\":".to_vec();
    let reply = fixture.send(&request);
    assert_problem(&reply, 400, "Bad Request", "IEUM-1006");
    assert!(stub.calls().is_empty());
}

#[test]
fn a_body_of_another_kind_or_compressed_is_refused() {
    let stub = echo();
    let fixture = fixture(&stub, "", "");
    let post = |name: &str, value: &str| {
        let request = Request::new("POST", "/api/v1/things").header(name, value);
        fixture.send(&Request {
            body: b"{}".to_vec(),
            ..request
        })
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/grpc",
    ] {
        let reply = post("content-type", kind);
        assert_problem(&reply, 415, "Unsupported Media Type", "IEUM-1007");
    }
    let reply = post("content-encoding", "gzip");
    assert_problem(&reply, 415, "Unsupported Media Type", "IEUM-1005");
    assert_eq!(reply.get("accept-encoding"), Some("identity"));
    for kind in [
        "application/json",
        "application/JSON; charset=utf-8",
        "application/vnd.x+json",
    ] {
        assert_eq!(post("content-type", kind).status, 200, "{kind}");
    }
    // Where there is no body, its kind means nothing.
    let bare = Request::new("GET", "/api/v1/things/7").header("content-type", "text/plain");
    assert_eq!(fixture.send(&bare).status, 200);
}

#[test]
fn what_is_too_large_too_deep_or_too_rich_is_refused() {
    let stub = echo();
    let fixture = fixture(
        &stub,
        "max-body = '4KiB'",
        "max-message = '1KiB'\ndeepest = 3\nmost-values = 200",
    );
    let status = |text: String| {
        let mut request = Request::new("POST", "/api/v1/things");
        request.body = text.into_bytes();
        fixture.send(&request)
    };
    let text = |length: usize| format!(r#"{{"text":"{}"}}"#, "a".repeat(length));
    assert_eq!(status(text(1_000)).status, 200);
    assert_problem(&status(text(1_100)), 413, "Content Too Large", "IEUM-1009");
    assert_problem(&status(text(5_000)), 413, "Content Too Large", "IEUM-1003");
    let deep = r#"{"inner":{"inner":{"inner":{}}}}"#.to_owned();
    assert_problem(&status(deep), 400, "Bad Request", "IEUM-1006");
    let rich = format!(r#"{{"others":[{}]}}"#, vec!["{}"; 20].join(","));
    assert_problem(&status(rich), 400, "Bad Request", "IEUM-1006");
}

#[test]
fn each_status_of_grpc_is_one_of_http() {
    let expected = [
        (Code::Cancelled, 499),
        (Code::Unknown, 500),
        (Code::InvalidArgument, 400),
        (Code::DeadlineExceeded, 504),
        (Code::NotFound, 404),
        (Code::AlreadyExists, 409),
        (Code::PermissionDenied, 403),
        (Code::ResourceExhausted, 429),
        (Code::FailedPrecondition, 400),
        (Code::Aborted, 409),
        (Code::OutOfRange, 400),
        (Code::Unimplemented, 501),
        (Code::Internal, 500),
        (Code::Unavailable, 503),
        (Code::DataLoss, 500),
        (Code::Unauthenticated, 401),
    ];
    for (code, status) in expected {
        for answer in [
            Answer::only(code, "because"),
            Answer::ended(&["text: 'a'"], code, "because"),
        ] {
            // Each has its own, so that no breaker opens.
            let stub = GrpcStub::start(move |_: &Call| answer.clone());
            let fixture = fixture(&stub, "retries = 0", "");
            let reply = fixture.get("/api/v1/things/7");
            assert_eq!(reply.status, status, "{code} {}", reply.text());
            let body = reply.json().expect("JSON");
            assert_eq!(body["grpcStatus"], code.name());
            assert_eq!(body["detail"], "because");
            assert_eq!(body["code"], "IEUM-1049");
        }
    }
}

#[test]
fn a_service_that_fails_opens_its_breaker_and_one_that_refuses_does_not() {
    let check = |code: Code, expected: &str| {
        let stub = GrpcStub::start(move |_: &Call| Answer::ended(&[], code, ""));
        let fixture = fixture(&stub, "retries = 0", "");
        let mut codes = Vec::new();
        for _ in 0..20 {
            let body = fixture.get("/api/v1/things/7").json().expect("JSON");
            codes.push(body["code"].to_string());
        }
        let last = codes.last().expect("an answer");
        assert!(last.contains(expected), "{code}: {codes:?}");
    };
    check(Code::Internal, "IEUM-1041");
    check(Code::NotFound, "IEUM-1049");
}

#[test]
fn details_of_a_status_are_members_of_the_problem() {
    let stub = GrpcStub::start(|_: &Call| {
        // A google.rpc.Status: 8, with a RetryInfo of 1.5 s and a Duration, which the pool knows.
        let any = |name: &str, value: &[u8]| {
            let url = format!("type.googleapis.com/{name}");
            let mut any = vec![0x0a, u8::try_from(url.len()).expect("short")];
            any.extend(url.as_bytes());
            any.extend([0x12, u8::try_from(value.len()).expect("short")]);
            any.extend(value);
            any
        };
        let mut status = vec![0x08, 8];
        for any in [
            any(
                "google.rpc.RetryInfo",
                b"\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01",
            ),
            any("test.v1.Everything", b"\x0a\x01x"),
        ] {
            status.extend([0x1a, u8::try_from(any.len()).expect("short")]);
            status.extend(any);
        }
        let details = STANDARD_NO_PAD.encode(status);
        Answer::ended(&[], Code::ResourceExhausted, "없음")
            .trailer("grpc-status-details-bin", &details)
    });
    let fixture = fixture(&stub, "", "");
    let reply = fixture.post("/api/v1/things", &json!({}));
    assert_problem(&reply, 429, "Too Many Requests", "IEUM-1049");
    assert_eq!(reply.get("retry-after"), Some("2"));
    let body = reply.json().expect("JSON");
    assert_eq!(body["detail"], "없음");
    assert_eq!(
        body["details"],
        json!([
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s" },
            { "@type": "type.googleapis.com/test.v1.Everything", "text": "x" },
        ])
    );
}

#[test]
fn the_routes_timeout_goes_inside_and_the_clients_does_not() {
    let stub = echo();
    let fixture = fixture(&stub, "timeout = '2s'", "");
    let request = Request::new("GET", "/api/v1/things/7").header("grpc-timeout", "9H");
    assert_eq!(fixture.send(&request).status, 200);
    let call = &stub.calls()[0];
    let within = timeout::parse(&call.headers["grpc-timeout"]).expect("a timeout");
    assert!(within <= Duration::from_secs(2), "{within:?}");
    assert_eq!(call.headers.get_all("grpc-timeout").iter().count(), 1);
}

#[test]
fn a_service_that_does_not_answer_in_time_is_a_504() {
    let stub = GrpcStub::start(|_: &Call| Answer::endless(&["text: 'a'"]));
    let fixture = fixture(&stub, "timeout = '200ms'\nretries = 0", "");
    let reply = fixture.post("/api/v1/things", &json!({}));
    assert_problem(&reply, 504, "Gateway Timeout", "IEUM-1045");
    wait_for("the call is given up", || stub.running() == 0);
}

#[test]
fn identity_and_trace_go_inside_and_forged_ones_do_not() {
    let stub = echo();
    let fixture = fixture(&stub, "", "");
    let request = Request::new("GET", "/api/v1/things/7")
        .header("x-user-id", "forged")
        .header("x_user_roles", "admin")
        .header("user-id", "forged")
        .header("x-request-id", "r-1")
        .header("x-custom", "mine")
        .header("x-bytes-bin", "not base64")
        .header("grpc-encoding", "gzip")
        .header("grpc-status", "0")
        .header("accept-language", "ko")
        .header("connection", "content-type, grpc-timeout, te, x-hop")
        .header("x-hop", "1");
    let reply = fixture.send(&request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let call = &stub.calls()[0];
    for name in [
        "x-user-id",
        "x_user_roles",
        "user-id",
        "x-bytes-bin",
        "grpc-encoding",
        "grpc-status",
        "accept",
        "x-hop",
    ] {
        assert_eq!(call.header(name), None, "{name}");
    }
    assert_eq!(call.header("x-request-id"), Some("r-1"));
    assert_eq!(call.header("x-custom"), Some("mine"));
    assert_eq!(call.header("accept-language"), Some("ko"));
    // What the gateway says cannot be named away.
    assert_eq!(call.header("content-type"), Some("application/grpc"));
    assert_eq!(call.header("te"), Some("trailers"));
    assert!(call.header("grpc-timeout").is_some());
    assert!(call.header("traceparent").is_some());
    assert!(call.header("x-forwarded-for").is_some());
}

#[test]
fn metadata_that_is_answered_are_headers_but_for_those_of_grpc() {
    let stub = GrpcStub::start(|_: &Call| {
        Answer::ok(&["text: 'a'"])
            .header("x-version", "7")
            .header("x-bytes-bin", "aGk")
            .header("grpc-accept-encoding", "gzip")
    });
    let fixture = fixture(&stub, "", "");
    let reply = fixture.get("/api/v1/things/7");
    assert_eq!(reply.get("x-version"), Some("7"));
    for name in [
        "x-bytes-bin",
        "grpc-accept-encoding",
        "grpc-status",
        "trailer",
    ] {
        assert_eq!(reply.get(name), None, "{name}");
    }
}

#[test]
fn a_method_that_only_reads_is_tried_again_and_another_is_not() {
    let stub = GrpcStub::start(|_: &Call| Answer::only(Code::Unavailable, "not now"));
    let fixture = fixture(&stub, "retries = 2", "");
    assert_eq!(fixture.get("/api/v1/things/7").status, 503);
    assert!(stub.calls().len() > 1, "{} calls", stub.calls().len());
    let before = stub.calls().len();
    assert_eq!(fixture.post("/api/v1/things", &json!({})).status, 503);
    assert_eq!(stub.calls().len(), before + 1);
}

#[test]
fn an_answer_that_is_no_grpc_is_a_bad_gateway() {
    let large = Prefix {
        is_compressed: false,
        length: 100 << 20,
    };
    let compressed = Prefix {
        is_compressed: true,
        length: 0,
    };
    let answers = [
        Answer::raw("hello").of_http(200, "text/plain"),
        Answer::raw(large.write().to_vec()),
        Answer::raw(compressed.write().to_vec()),
        Answer::raw(b"\x07\0\0\0\0".to_vec()),
        Answer::raw(frame(b"\x0a\x01a")),
        Answer::ok(&[]),
        Answer::ok(&["text: 'a'", "text: 'b'"]),
        Answer::raw(frame(b"\x0a\xff")).trailer("grpc-status", "0"),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let stub = GrpcStub::start(move |_: &Call| answer.clone());
        let fixture = fixture(&stub, "", "");
        let reply = fixture.get("/api/v1/things/7");
        assert_eq!(reply.status, 502, "{index}: {}", reply.text());
        assert_eq!(reply.json().expect("JSON")["code"], "IEUM-1044", "{index}");
    }
}

#[test]
fn somebody_between_who_speaks_no_grpc_is_understood_by_the_status() {
    for (status, expected) in [(503, 503), (404, 501), (401, 401), (418, 500)] {
        let answer = Answer::raw("").of_http(status, "text/html");
        let stub = GrpcStub::start(move |_: &Call| answer.clone());
        let fixture = fixture(&stub, "retries = 0", "");
        assert_eq!(fixture.get("/api/v1/things/7").status, expected, "{status}");
    }
}

#[test]
fn a_service_that_is_not_there_is_a_503() {
    let upstream = format!("url = 'http://{}'", nobody());
    let fixture = fixture_with("", &upstream, "", "");
    let reply = fixture.get("/api/v1/things/7");
    assert_problem(&reply, 503, "Service unavailable", "IEUM-1043");
    let fixture = fixture_with("", "service = 'things'", "", "");
    let reply = fixture.get("/api/v1/things/7");
    assert_problem(&reply, 503, "Service unavailable", "IEUM-1040");
}

#[test]
fn an_empty_answer_is_an_empty_object() {
    let stub = GrpcStub::start(|_: &Call| Answer::raw(frame(b"")).trailer("grpc-status", "0"));
    let fixture = fixture(&stub, "", "");
    let reply = fixture.send(&Request::new("DELETE", "/api/v1/things/7"));
    assert_eq!((reply.status, &*reply.text()), (200, "{}"));
}

#[test]
fn a_raw_body_is_answered_as_it_is() {
    // google.api.HttpBody: 1 is the media type, 2 the bytes.
    let stub = GrpcStub::start(|_: &Call| {
        Answer::raw(frame(b"\x0a\x08text/css\x12\x03a{}")).trailer("grpc-status", "0")
    });
    let fixture = fixture(&stub, "", "");
    let reply = fixture.get("/api/v1/raw/style.css");
    assert_eq!((reply.status, &*reply.text()), (200, "a{}"));
    assert_eq!(reply.get("content-type"), Some("text/css"));
}
