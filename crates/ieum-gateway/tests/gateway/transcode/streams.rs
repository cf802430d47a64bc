//! Calls that are answered by any number of messages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ieum_grpc::Code;
use ieum_testkit::Request;
use serde_json::{Value, json};

use super::stub::{Answer, Call, GrpcStub, framed};
use super::{Fixture, fixture};
use crate::support::{assert_problem, wait_for};

fn watch(fixture: &Fixture, accept: &str) -> ieum_testkit::Reply {
    fixture.send(&Request::new("GET", "/api/v1/things:watch").header("accept", accept))
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

const BRIEF: &str = "print-defaults = false";

#[test]
fn messages_are_lines_of_json() {
    let stub = GrpcStub::start(|_: &Call| Answer::ok(&["small: 1", "", "small: 3"]));
    let fixture = fixture(&stub, "", BRIEF);
    let reply = watch(&fixture, "*/*");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.get("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.get("cache-control"), Some("no-store"));
    assert_eq!(
        lines(&reply.text()),
        [json!({ "small": 1 }), json!({}), json!({ "small": 3 })]
    );
    // A stream may last: it is not told how long it has.
    assert_eq!(stub.calls()[0].header("grpc-timeout"), None);
}

#[test]
fn messages_are_events_for_those_who_ask() {
    let stub = GrpcStub::start(|_: &Call| Answer::ok(&["small: 1", "small: 2"]));
    let fixture = fixture(&stub, "", BRIEF);
    let reply = watch(&fixture, "text/event-stream");
    assert_eq!(reply.get("content-type"), Some("text/event-stream"));
    assert_eq!(
        reply.text(),
        "data: {\"small\":1}\n\ndata: {\"small\":2}\n\n"
    );
}

#[test]
fn messages_come_whole_wherever_the_body_was_cut() {
    let stub = GrpcStub::start(|_: &Call| {
        let whole = [framed("text: 'one'"), framed("text: 'two'")].concat();
        Answer::in_pieces(whole.chunks(3)).trailer("grpc-status", "0")
    });
    let fixture = fixture(&stub, "", BRIEF);
    let reply = watch(&fixture, "*/*");
    assert_eq!(
        lines(&reply.text()),
        [json!({ "text": "one" }), json!({ "text": "two" })]
    );
}

#[test]
fn an_empty_stream_is_an_empty_body() {
    for answer in [Answer::ok(&[]), Answer::only(Code::Ok, "")] {
        let stub = GrpcStub::start(move |_: &Call| answer.clone());
        let fixture = fixture(&stub, "", BRIEF);
        let reply = watch(&fixture, "*/*");
        assert_eq!((reply.status, &*reply.text()), (200, ""));
    }
}

#[test]
fn a_stream_that_fails_at_once_is_a_problem() {
    let stub = GrpcStub::start(|_: &Call| Answer::only(Code::PermissionDenied, "not you"));
    let fixture = fixture(&stub, "", BRIEF);
    assert_problem(&watch(&fixture, "*/*"), 403, "Forbidden", "IEUM-1049");
}

#[test]
fn a_stream_that_fails_later_ends_with_the_problem() {
    let stub = GrpcStub::start(|_: &Call| Answer::ended(&["small: 1"], Code::Aborted, "lost"));
    let fixture = fixture(&stub, "", BRIEF);
    let reply = watch(&fixture, "*/*");
    let lines = lines(&reply.text());
    assert_eq!(lines[0], json!({ "small": 1 }));
    let error = &lines[1]["error"];
    assert_eq!(
        (&error["status"], &error["grpcStatus"]),
        (&json!(409), &json!("ABORTED"))
    );
    assert_eq!(
        (&error["detail"], &error["code"]),
        (&json!("lost"), &json!("IEUM-1049"))
    );
    let reply = watch(&fixture, "text/event-stream");
    let (message, error) = reply
        .text()
        .split_once("\n\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("two events");
    assert_eq!(message, "data: {\"small\":1}");
    assert!(error.starts_with("event: error\ndata: {"), "{error}");
}

#[test]
fn a_stream_that_breaks_off_ends_with_a_problem() {
    let whole = framed("small: 1");
    for (bytes, code) in [
        // Inside a message, and without a status.
        ([&whole[..], &[0, 0, 0, 0, 9, 1]].concat(), "IEUM-1044"),
        // Larger than allowed.
        ([&whole[..], &[0, 255, 0, 0, 0]].concat(), "IEUM-1044"),
        // No message of this kind.
        (
            [&whole[..], &[0, 0, 0, 0, 2, 10, 255]].concat(),
            "IEUM-1044",
        ),
    ] {
        let stub = GrpcStub::start(move |_: &Call| Answer::raw(bytes.clone()));
        let fixture = fixture(&stub, "", BRIEF);
        let lines = lines(&watch(&fixture, "*/*").text());
        assert_eq!(lines[0], json!({ "small": 1 }));
        assert_eq!(lines[1]["error"]["code"], code, "{}", lines[1]);
        assert_eq!(lines[1]["error"]["status"], 502);
    }
}

#[test]
fn messages_arrive_while_the_stream_goes_on_and_a_client_that_leaves_ends_it() {
    let stub = GrpcStub::start(|_: &Call| Answer::endless(&["small: 1"]));
    let fixture = fixture(&stub, "timeout = '300ms'", BRIEF);
    let mut client = TcpStream::connect(fixture.world.handle.addr()).expect("connected");
    let patience = Some(Duration::from_secs(10));
    client.set_read_timeout(patience).expect("a timeout");
    let request = b"GET /api/v1/things:watch HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).expect("sent");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("{\"small\":1}") {
        let mut piece = [0; 1024];
        let length = client.read(&mut piece).expect("more");
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..length]);
    }
    assert_eq!(stub.running(), 1);
    drop(client);
    wait_for("the stream is reset", || stub.running() == 0);
}

#[test]
fn a_stream_that_falls_silent_ends_with_a_problem() {
    let stub = GrpcStub::start(|_: &Call| Answer::endless(&["small: 1"]));
    let silence = "[gateway.timeouts]\nidle = '200ms'";
    let upstream = format!("url = 'http://{}'", stub.address());
    let fixture = super::fixture_with(silence, &upstream, "", BRIEF);
    let lines = lines(&watch(&fixture, "*/*").text());
    assert_eq!(lines[1]["error"]["code"], "IEUM-1045", "{}", lines[1]);
    wait_for("the stream is reset", || stub.running() == 0);
}
