//! From a message to JSON.

use ieum_grpc::transcode::{Settings, TranscodeErrorKind};

use crate::support::Door;

/// What of a message is written beside its defaults.
#[track_caller]
fn check(message: &str, expected: &str) {
    let door = Door::with(Settings {
        prints_defaults: false,
        ..Settings::default()
    });
    assert_eq!(
        door.answer("GET /v1/things", message),
        expected,
        "{message}"
    );
}

/// The table of "JSON mapping" in the documentation of proto3, the other way round.
#[test]
fn answers_follow_the_json_mapping_of_proto3() {
    for (message, expected) in [
        ("", "{}"),
        ("small_natural: 1", r#"{"smallNatural":1}"#),
        (r#"renamed: "a""#, r#"{"otherName":"a"}"#),
        ("large: 9007199254740993", r#"{"large":"9007199254740993"}"#),
        (
            "large_natural: 1 fixed: 2 zigzag: -3",
            r#"{"largeNatural":"1","zigzag":"-3","fixed":"2"}"#,
        ),
        ("numbers: [1, -2]", r#"{"numbers":["1","-2"]}"#),
        ("small: -1", r#"{"small":-1}"#),
        (
            "single: 1.5 precise: 0.1",
            r#"{"single":1.5,"precise":0.1}"#,
        ),
        ("precise: inf", r#"{"precise":"Infinity"}"#),
        ("precise: -inf", r#"{"precise":"-Infinity"}"#),
        ("single: nan", r#"{"single":"NaN"}"#),
        (r#"raw: "\377\357""#, r#"{"raw":"/+8="}"#),
        ("colour: COLOUR_RED", r#"{"colour":"COLOUR_RED"}"#),
        (
            "palette: [COLOUR_RED, COLOUR_BLUE]",
            r#"{"palette":["COLOUR_RED","COLOUR_BLUE"]}"#,
        ),
        (
            r#"counts: { key: "a" value: 1 }"#,
            r#"{"counts":{"a":"1"}}"#,
        ),
        (
            "colours: { key: -1 value: COLOUR_BLUE }",
            r#"{"colours":{"-1":"COLOUR_BLUE"}}"#,
        ),
        ("inner { }", r#"{"inner":{}}"#),
        (
            "at { seconds: 63108020 nanos: 21000000 }",
            r#"{"at":"1972-01-01T10:00:20.021Z"}"#,
        ),
        (
            "took { seconds: 1 nanos: 340012 }",
            r#"{"took":"1.000340012s"}"#,
        ),
        (
            r#"mask { paths: "inner.small_natural" }"#,
            r#"{"mask":"inner.smallNatural"}"#,
        ),
        (
            "maybe_text { } maybe_large { value: 1 }",
            r#"{"maybeText":"","maybeLarge":"1"}"#,
        ),
        (
            "anything { null_value: NULL_VALUE }",
            r#"{"anything":null}"#,
        ),
        ("list { values { bool_value: true } }", r#"{"list":[true]}"#),
        ("nothing { }", r#"{"nothing":{}}"#),
        ("present: 0", r#"{"present":0}"#),
        ("by_number: 0", r#"{"byNumber":0}"#),
        (
            "packed { [type.googleapis.com/google.protobuf.Duration] { seconds: 1 } }",
            r#"{"packed":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
        ),
    ] {
        check(message, expected);
    }
}

#[test]
fn defaults_are_printed_but_for_what_may_be_absent() {
    let json = Door::new().answer("GET /v1/things", "");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["text"], "");
    assert_eq!(json["flag"], false);
    assert_eq!(json["large"], "0");
    assert_eq!(json["colour"], "COLOUR_UNSPECIFIED");
    assert_eq!(json["tags"], serde_json::json!([]));
    assert_eq!(json["counts"], serde_json::json!({}));
    for absent in ["inner", "byName", "present", "at", "maybeText"] {
        assert_eq!(json.get(absent), None, "{absent}");
    }
}

#[test]
fn one_field_is_answered_if_the_rule_says_so() {
    let door = Door::with(Settings {
        prints_defaults: false,
        ..Settings::default()
    });
    let update = |message: &str| door.answer("PATCH /v1/things/7", message);
    assert_eq!(update(r#"text: "7" inner { small: 1 }"#), r#"{"small":1}"#);
    assert_eq!(update(r#"text: "7""#), "null");
    let tags = |message: &str| door.answer("PUT /v1/things/7/tags", message);
    assert_eq!(tags(r#"tags: ["a"]"#), r#"["a"]"#);
    assert_eq!(tags(""), "[]");
}

#[test]
fn an_answer_that_is_no_message_is_the_services_fault() {
    let door = Door::new();
    let (found, _) = door.find("GET /v1/things");
    let error = door
        .transcoder
        .answer(&found, b"\x0a\xff")
        .expect_err("damaged");
    assert_eq!(error.kind(), TranscodeErrorKind::Answer);
    assert_eq!(error.fault(), ieum_base::Fault::Upstream);
}
