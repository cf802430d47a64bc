//! Which method a request calls.

use http::Method;
use ieum_grpc::transcode::{Found, Settings};

use crate::support::{Door, transcoder};

fn rpc(request: &str) -> String {
    let door = Door::new();
    let (found, _) = door.find(request);
    let rpc = door.transcoder.binding(&found).rpc().to_owned();
    rpc.trim_start_matches("/test.v1.Things/").to_owned()
}

#[test]
fn a_request_calls_the_method_whose_rule_says_most() {
    for (request, method) in [
        ("GET /v1/things", "Search"),
        ("POST /v1/things", "Create"),
        ("GET /v1/things/7", "Get"),
        ("HEAD /v1/things/7", "Get"),
        ("GET /v1/inner/a/3", "Get"),
        ("PATCH /v1/things/7", "Update"),
        ("DELETE /v1/things/7", "Delete"),
        ("PUT /v1/things/7/tags", "Tag"),
        ("POST /v1/things/7:cancel", "Cancel"),
        ("GET /v1/things:watch", "Watch"),
        ("GET /v1/files/a/b/c", "Read"),
    ] {
        assert_eq!(rpc(request), method, "{request}");
    }
}

#[test]
fn what_no_rule_matches_is_nothing_and_another_method_is_named() {
    let door = Door::new();
    let find = |method: Method, path: &str| door.transcoder.find(&method, path);
    assert_eq!(find(Method::GET, "/v1/nowhere"), Found::Nothing);
    assert_eq!(find(Method::GET, "/v1/things/7/8"), Found::Nothing);
    assert_eq!(
        find(Method::GET, "/test.v1.Things/Unannotated"),
        Found::Nothing
    );
    let Found::OtherMethods(mut methods) = find(Method::OPTIONS, "/v1/things") else {
        panic!("the path is known");
    };
    methods.sort_by_key(|method| method.as_str().to_owned());
    assert_eq!(methods, [Method::GET, Method::POST]);
}

#[test]
fn methods_without_annotation_answer_under_their_names_if_asked_to() {
    let settings = Settings {
        unannotated: true,
        ..Settings::default()
    };
    let transcoder = transcoder(settings);
    let found = transcoder.find(&Method::POST, "/test.v1.Things/Unannotated");
    assert!(matches!(found, Found::Call(_)), "{found:?}");
}

#[test]
fn what_a_method_is_like_is_known() {
    let door = Door::new();
    let binding = |request: &str| {
        let (found, _) = door.find(request);
        let binding = door.transcoder.binding(&found);
        (
            binding.reads(),
            binding.is_server_streaming(),
            binding.is_client_streaming(),
        )
    };
    assert_eq!(binding("GET /v1/things/7"), (true, false, false));
    assert_eq!(binding("POST /v1/things"), (false, false, false));
    assert_eq!(binding("DELETE /v1/things/7"), (false, false, false));
    assert_eq!(binding("GET /v1/things:watch"), (true, true, false));
}
