//! Descriptors that the service itself gives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ieum_grpc::Code;
use prost::Message;
use prost_types::FileDescriptorProto;

use super::stub::{Answer, Call, GrpcStub, descriptors, frame};
use crate::support::{World, assert_problem, gateway, wait_for};

/// A stub that serves reflection in this version, while `knows` says so, and answers everything else.
fn reflecting(version: &'static str, knows: Arc<AtomicBool>) -> GrpcStub {
    let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    GrpcStub::start(move |call: &Call| {
        if !call.path.starts_with("/grpc.reflection.") {
            return Answer::ok(&["text: 'a'"]);
        }
        if call.path != path || !knows.load(Ordering::Acquire) {
            return Answer::only(Code::Unimplemented, "no such method");
        }
        let answers: Vec<Bytes> = call
            .messages
            .iter()
            .map(|question| frame(&told(question)))
            .collect();
        Answer::in_pieces(answers.iter().map(AsRef::as_ref)).trailer("grpc-status", "0")
    })
}

/// The answer to a question: the file of that name, or that of `test.v1.Things`.
fn told(question: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(&question[2..]).expect("UTF-8");
    let name = match question[0] >> 3 {
        3 => text,
        _ => "test.proto",
    };
    field(4, &field(1, &files()[name]))
}

/// The files, each in its own bytes.
fn files() -> &'static BTreeMap<String, Vec<u8>> {
    #[derive(Clone, PartialEq, Message)]
    struct Set {
        #[prost(bytes = "vec", repeated, tag = "1")]
        file: Vec<Vec<u8>>,
    }
    static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
        let set = Set::decode(descriptors()).expect("a set");
        let named = set.file.into_iter().map(|bytes| {
            let file = FileDescriptorProto::decode(bytes.as_slice()).expect("a file");
            (file.name().to_owned(), bytes)
        });
        named.collect()
    });
    &FILES
}

/// A field of the length-delimited kind.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut bytes);
    bytes.extend(value);
    bytes
}

fn settings(upstream: &str) -> String {
    format!(
        r#"
        [[gateway.routes]]
        name = "things"
        path = "/api"
        strip-prefix = "/api"
        auth = "none"
        retries = 0
        transcode = {{ {upstream}, services = ["test.v1.Things"], reflection = true, refresh = "1s" }}
        "#
    )
}

fn becomes_ready(world: &World) {
    wait_for("the descriptors are there", || {
        world.get("/api/v1/things/7").status == 200
    });
}

#[test]
fn a_route_answers_once_the_service_has_said_what_it_looks_like() {
    for version in ["v1", "v1alpha"] {
        let knows = Arc::new(AtomicBool::new(false));
        let stub = reflecting(version, Arc::clone(&knows));
        let world = gateway(&settings(&format!("url = 'http://{}'", stub.address())));
        let reply = world.get("/api/v1/things/7");
        assert_problem(&reply, 503, "Service unavailable", "IEUM-1048");
        assert_eq!(reply.get("retry-after"), Some("1"));
        let info = || {
            world.handle.routes()[0]
                .transcode
                .clone()
                .expect("a transcoded route")
        };
        wait_for("the problem is told", || info().problem.is_some());
        let problem = info().problem.unwrap_or_default();
        assert!(problem.contains("does not serve"), "{problem}");
        assert_eq!(info().methods, []);
        knows.store(true, Ordering::Release);
        becomes_ready(&world);
        wait_for("nothing is wrong any more", || info().problem.is_none());
        let is_get = |request: &str, rpc: &str| {
            request == "GET /v1/things/{text=*}" && rpc == "/test.v1.Things/Get"
        };
        let methods = info().methods;
        assert!(
            methods
                .iter()
                .any(|method| is_get(&method.request, &method.rpc)),
            "{methods:?}"
        );
    }
}

#[test]
fn a_service_that_is_registered_later_is_asked_then() {
    let knows = Arc::new(AtomicBool::new(true));
    let stub = reflecting("v1", knows);
    let world = gateway(&settings("service = 'things'"));
    assert_eq!(world.get("/api/v1/things/7").status, 503);
    world.register("things", &stub.address());
    becomes_ready(&world);
}

#[test]
fn the_last_descriptors_stay_in_use_whatever_the_service_says_later() {
    let knows = Arc::new(AtomicBool::new(true));
    let stub = reflecting("v1", Arc::clone(&knows));
    let world = gateway(&settings(&format!("url = 'http://{}'", stub.address())));
    becomes_ready(&world);
    knows.store(false, Ordering::Release);
    let asked = || {
        let calls = stub.calls();
        calls
            .iter()
            .filter(|call| call.path.starts_with("/grpc.reflection."))
            .count()
    };
    let before = asked();
    wait_for("it was asked again", || asked() >= before + 2);
    assert_eq!(world.get("/api/v1/things/7").status, 200);
}

#[test]
fn a_reload_keeps_the_descriptors() {
    let knows = Arc::new(AtomicBool::new(true));
    let stub = reflecting("v1", Arc::clone(&knows));
    let settings = settings(&format!("url = 'http://{}'", stub.address()));
    let world = gateway(&settings);
    becomes_ready(&world);
    knows.store(false, Ordering::Release);
    let another = format!("{settings}\n[gateway.timeouts]\nrequest = '9s'");
    world
        .handle
        .reload(crate::support::config(&another))
        .expect("valid");
    assert_eq!(world.get("/api/v1/things/7").status, 200);
}
