//! From path, query and body to a message.

use ieum_grpc::transcode::{Place, Settings, TranscodeErrorKind};

use crate::support::Door;

#[track_caller]
fn check(request: &str, body: &str, expected: &str) {
    let message = Door::new().request(request, body);
    assert_eq!(message.expect(request), expected, "{request} {body}");
}

/// Refused, with the field and words of the reason.
#[track_caller]
fn refuse(request: &str, body: &str, field: &str, why: &str) {
    let error = Door::new().refused(request, body);
    assert_eq!(
        error.field().unwrap_or_default(),
        field,
        "{request} {body}: {error}"
    );
    assert!(error.to_string().contains(why), "{request} {body}: {error}");
}

#[test]
fn variables_of_the_path_become_fields() {
    check("GET /v1/things/7", "", r#"text:"7""#);
    check("GET /v1/things/a%20b%2Fc", "", r#"text:"a b/c""#);
    check("GET /v1/inner/a/-3", "", r#"inner{text:"a",small:-3}"#);
    check("GET /v1/files/a/b%2Fc", "", r#"text:"a/b%2Fc""#);
    refuse(
        "GET /v1/inner/a/x",
        "",
        "inner.small",
        "whole number of 32 bits",
    );
    refuse("GET /v1/things/%FF", "", "text", "not UTF-8");
}

#[test]
fn parameters_of_the_query_become_fields() {
    for (query, expected) in [
        ("", ""),
        ("text=a+b%26c", r#"text:"a b&c""#),
        ("text=", ""),
        ("flag=true", "flag:true"),
        ("small=-7", "small:-7"),
        ("large=9007199254740993", "large:9007199254740993"),
        (
            "smallNatural=7&large_natural=8",
            "small_natural:7,large_natural:8",
        ),
        ("single=1.5&precise=-2e3", "single:1.5,precise:-2000.0"),
        ("precise=Infinity", "precise:inf"),
        ("raw=aGk%3D", r#"raw:"hi""#),
        ("raw=_-8", r#"raw:"\377\357""#),
        ("colour=COLOUR_RED", "colour:COLOUR_RED"),
        ("colour=2", "colour:COLOUR_BLUE"),
        ("inner.inner.small=1", "inner{inner{small:1}}"),
        ("tags=a&tags=b", r#"tags:["a","b"]"#),
        (
            "palette=1&palette=COLOUR_BLUE",
            "palette:[COLOUR_RED,COLOUR_BLUE]",
        ),
        (
            "at=2026-11-21T10:00:00.5Z",
            "at{seconds:1795255200,nanos:500000000}",
        ),
        ("took=1.5s", "took{seconds:1,nanos:500000000}"),
        (
            "mask=text,inner.smallNatural",
            r#"mask{paths:["text","inner.small_natural"]}"#,
        ),
        (
            "maybeText=&maybeLarge=0&maybeFlag=false",
            "maybe_text{},maybe_large{},maybe_flag{}",
        ),
        ("present=0", "present:0"),
        ("otherName=a", r#"renamed:"a""#),
        ("renamed=a", r#"renamed:"a""#),
        ("byName=a", r#"by_name:"a""#),
        ("&&small=1&", "small:1"),
    ] {
        check(&format!("GET /v1/things?{query}"), "", expected);
    }
}

#[test]
fn a_wrong_parameter_is_refused_with_its_name() {
    for (query, field, why) in [
        ("nope=1", "nope", "not known"),
        (
            "inner.nope=1",
            "inner.nope",
            "`nope` is no field of `test.v1.Everything`",
        ),
        ("text.x=1", "text.x", "`text` has no fields"),
        ("small=x", "small", "whole number"),
        ("small=3000000000", "small", "32 bits"),
        ("small=", "small", "whole number"),
        ("smallNatural=-1", "smallNatural", "not negative"),
        ("flag=1", "flag", "neither `true` nor `false`"),
        ("precise=inf", "precise", "no number"),
        ("single=1e39", "single", "out of range"),
        ("raw=*", "raw", "base64"),
        ("colour=GREEN", "colour", "no value of `test.v1.Colour`"),
        ("small=1&small=2", "small", "twice"),
        ("inner=1", "inner", "is a message"),
        ("counts=1", "counts", "a map"),
        ("counts.a=1", "counts.a", "has no fields"),
        ("free=1", "free", "is a message"),
        ("at=yesterday", "at", "no `google.protobuf.Timestamp`"),
        ("took=5", "took", "no `google.protobuf.Duration`"),
        ("maybeFlag=x", "maybeFlag", "neither"),
        (
            "byName=a&byNumber=1",
            "byNumber",
            "cannot go together with `byName`",
        ),
        ("text=%FF", "text", "not UTF-8"),
    ] {
        refuse(&format!("GET /v1/things?{query}"), "", field, why);
    }
}

#[test]
fn what_the_path_or_the_body_gives_is_no_parameter() {
    refuse(
        "GET /v1/things/7?text=8",
        "",
        "text",
        "given by the path or the body",
    );
    refuse(
        "GET /v1/inner/a/1?inner.text=b",
        "",
        "inner.text",
        "given by",
    );
    check(
        "GET /v1/inner/a/1?inner.flag=true",
        "",
        r#"inner{text:"a",flag:true,small:1}"#,
    );
    refuse("POST /v1/things?small=1", "{}", "small", "given by");
    refuse(
        "PATCH /v1/things/7?inner.small=1",
        "{}",
        "inner.small",
        "given by",
    );
    check(
        "PATCH /v1/things/7?small=1",
        "{}",
        r#"text:"7",small:1,inner{}"#,
    );
}

#[test]
fn there_are_at_most_as_many_parameters_as_allowed() {
    let query = |count: usize| vec!["tags=a"; count].join("&");
    let door = Door::new();
    assert!(
        door.request(&format!("GET /v1/things?{}", query(100)), "")
            .is_ok()
    );
    let error = door.refused(&format!("GET /v1/things?{}", query(101)), "");
    assert!(error.to_string().contains("more than 100"), "{error}");
}

#[test]
fn the_body_is_all_or_one_field_or_nothing() {
    check(
        "POST /v1/things",
        r#"{"text":"a","small":1}"#,
        r#"text:"a",small:1"#,
    );
    check("POST /v1/things", "", "");
    check("POST /v1/things", "  \n", "");
    check(
        "POST /v1/things/7:cancel",
        r#"{"text":"8","small":1}"#,
        r#"text:"7",small:1"#,
    );
    check(
        "PATCH /v1/things/7",
        r#"{"small":1}"#,
        r#"text:"7",inner{small:1}"#,
    );
    check("PATCH /v1/things/7", "", r#"text:"7""#);
    check(
        "PUT /v1/things/7/tags",
        r#"["a","b"]"#,
        r#"text:"7",tags:["a","b"]"#,
    );
    let error = Door::new().refused("GET /v1/things/7", "{}");
    assert!(error.to_string().contains("takes no body"), "{error}");
    // One value, and not the rest of an object around it.
    refuse("PATCH /v1/things/7", r#"{},"small":1"#, "", "no JSON");
}

/// The table of "JSON mapping" in the documentation of proto3.
#[test]
fn bodies_follow_the_json_mapping_of_proto3() {
    for (json, expected) in [
        (r#"{"inner":{"small":1}}"#, "inner{small:1}"),
        (r#"{"smallNatural":1}"#, "small_natural:1"),
        (r#"{"small_natural":1}"#, "small_natural:1"),
        (r#"{"otherName":"a"}"#, r#"renamed:"a""#),
        (r#"{"text":null}"#, ""),
        (r#"{"colour":"COLOUR_RED"}"#, "colour:COLOUR_RED"),
        (r#"{"colour":1}"#, "colour:COLOUR_RED"),
        (r#"{"counts":{"a":"2"}}"#, r#"counts:[{key:"a",value:2}]"#),
        (
            r#"{"colours":{"-1":"COLOUR_RED"}}"#,
            "colours:[{key:-1,value:COLOUR_RED}]",
        ),
        (r#"{"numbers":[1,"2"]}"#, "numbers:[1,2]"),
        (r#"{"tags":null}"#, ""),
        (r#"{"flag":true}"#, "flag:true"),
        (r#"{"text":"안"}"#, r#"text:"\354\225\210""#),
        (r#"{"raw":"_-8="}"#, r#"raw:"\377\357""#),
        (r#"{"raw":"/+8"}"#, r#"raw:"\377\357""#),
        (r#"{"small":"7"}"#, "small:7"),
        (r#"{"small":1e2}"#, "small:100"),
        (
            r#"{"large":"-9223372036854775808"}"#,
            "large:-9223372036854775808",
        ),
        (
            r#"{"largeNatural":"18446744073709551615"}"#,
            "large_natural:18446744073709551615",
        ),
        (r#"{"zigzag":-1,"fixed":"1"}"#, "zigzag:-1,fixed:1"),
        (r#"{"precise":"NaN"}"#, "precise:NaN"),
        (
            r#"{"precise":"-Infinity","single":"1.5"}"#,
            "single:1.5,precise:-inf",
        ),
        (
            r#"{"at":"1972-01-01T10:00:20.021Z"}"#,
            "at{seconds:63108020,nanos:21000000}",
        ),
        (
            r#"{"at":"1972-01-01T10:00:20+01:00"}"#,
            "at{seconds:63104420}",
        ),
        (r#"{"took":"1.000340012s"}"#, "took{seconds:1,nanos:340012}"),
        (
            r#"{"mask":"text,inner.smallNatural"}"#,
            r#"mask{paths:["text","inner.small_natural"]}"#,
        ),
        (
            r#"{"maybeText":"","maybeLarge":"0","maybeFlag":false}"#,
            "maybe_text{},maybe_large{},maybe_flag{}",
        ),
        (r#"{"maybeText":null}"#, ""),
        (r#"{"nothing":{}}"#, "nothing{}"),
        (r#"{"anything":null}"#, "anything{null_value:NULL_VALUE}"),
        (r#"{"anything":1}"#, "anything{number_value:1.0}"),
        (r#"{"list":[true]}"#, "list{values:[{bool_value:true}]}"),
        (
            r#"{"free":{"a":"b"}}"#,
            r#"free{fields:[{key:"a",value{string_value:"b"}}]}"#,
        ),
        (r#"{"present":0}"#, "present:0"),
        (
            r#"{"packed":{"@type":"type.googleapis.com/test.v1.Everything","small":1}}"#,
            "packed{[type.googleapis.com/test.v1.Everything]{small:1}}",
        ),
        (
            r#"{"packed":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
            "packed{[type.googleapis.com/google.protobuf.Duration]{seconds:1}}",
        ),
    ] {
        check("POST /v1/things", json, expected);
    }
}

#[test]
fn a_wrong_body_is_refused_with_its_field() {
    for (json, field, why) in [
        (r#"{"nope":1}"#, "nope", "`nope` is not known"),
        (
            r#"{"inner":{"nope":1}}"#,
            "inner.nope",
            "`inner.nope` is not known",
        ),
        (
            r#"{"others":[{},{"small":"x"}]}"#,
            "others[1].small",
            "cannot be read",
        ),
        (r#"{"text":7}"#, "text", "is not a string"),
        (r#"{"small":1.5}"#, "small", "cannot be read"),
        (r#"{"small":3000000000}"#, "small", "cannot be read"),
        (r#"{"flag":"true"}"#, "flag", "is not a boolean"),
        (r#"{"colour":"GREEN"}"#, "colour", "no value of its enum"),
        (r#"{"tags":"a"}"#, "tags", "is not a list"),
        (r#"{"tags":[null]}"#, "tags[0]", "is not a string"),
        (r#"{"counts":[]}"#, "counts", "is not a map"),
        (r#"{"raw":"*"}"#, "raw", "base64"),
        (r#"{"at":"soon"}"#, "at", "cannot be read"),
        (r#"{"byName":"a","byNumber":1}"#, "", "oneof"),
        (
            r#"{"packed":{"@type":"type.googleapis.com/no.Such"}}"#,
            "packed",
            "not found",
        ),
        ("[]", "", "is not a map"),
        ("{", "", "no JSON"),
        ("{}{}", "", "no JSON"),
        ("{\"text\":\"\u{1}\"}", "", "no JSON"),
        (r#"{"text":"\ud800"}"#, "", "no JSON"),
    ] {
        refuse("POST /v1/things", json, field, why);
    }
}

#[test]
fn a_wrong_body_is_refused_with_its_place_and_without_its_value() {
    let error = Door::new().refused("POST /v1/things", "{\n  \"flag\": \"hunter2\"\n}");
    assert_eq!(error.kind(), TranscodeErrorKind::Body);
    let place = Place {
        line: 2,
        column: 19,
    };
    assert_eq!(error.place(), Some(place), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn what_is_told_of_a_long_name_is_short() {
    let name = "n".repeat(100_000);
    let error = Door::new().refused("POST /v1/things", &format!("{{\"{name}\":1}}"));
    assert!(
        error.to_string().len() < 500,
        "{} bytes",
        error.to_string().len()
    );
    assert!(error.field().is_some_and(|field| field.len() < 500));
}

#[test]
fn unknown_things_are_dropped_only_if_the_settings_say_so() {
    let door = Door::with(Settings {
        ignores_unknown_fields: true,
        ignores_unknown_parameters: true,
        ..Settings::default()
    });
    let message = door.request("GET /v1/things?nope=1&small=1", "");
    assert_eq!(message.expect("a message"), "small:1");
    let message = door.request("POST /v1/things", r#"{"nope":{"a":[1]},"small":1}"#);
    assert_eq!(message.expect("a message"), "small:1");
    // A value that does not fit is not unknown.
    assert_eq!(
        door.refused("GET /v1/things?small=x", "").field(),
        Some("small")
    );
}

#[test]
fn bodies_that_are_too_deep_or_too_rich_are_refused_before_anything_is_made_of_them() {
    let door = Door::with(Settings {
        deepest: 8,
        most_values: 1_000,
        ..Settings::default()
    });
    let deep = |levels: usize| {
        let (open, close) = (r#"{"inner":"#.repeat(levels - 1), "}".repeat(levels - 1));
        format!("{open}{{}}{close}")
    };
    assert!(door.request("POST /v1/things", &deep(8)).is_ok());
    let error = door.refused("POST /v1/things", &deep(9));
    assert!(error.to_string().contains("deeper than 8"), "{error}");
    // `Everything` has free-form fields, so that each value may be a message and counts as 16.
    let rich = |values: usize| format!(r#"{{"numbers":[{}]}}"#, vec!["1"; values].join(","));
    assert!(door.request("POST /v1/things", &rich(60)).is_ok());
    let error = door.refused("POST /v1/things", &rich(63));
    assert!(error.to_string().contains("more than 1000"), "{error}");
    // `Plain` has none: its numbers count as one each, its messages as 16.
    let plain = |values: usize| format!(r#"{{"numbers":[{}]}}"#, vec!["1"; values].join(","));
    assert!(door.request("POST /v1/plain", &plain(980)).is_ok());
    assert!(door.request("POST /v1/plain", &plain(1_000)).is_err());
    let messages = |values: usize| format!(r#"{{"others":[{}]}}"#, vec!["{}"; values].join(","));
    assert!(door.request("POST /v1/plain", &messages(57)).is_ok());
    assert!(door.request("POST /v1/plain", &messages(59)).is_err());
    // Brackets inside texts are no levels, whatever is escaped before them.
    let text = r#"{"text":"\\\"[[[[[[[[[[[[[[","small":1}"#;
    assert!(door.request("POST /v1/things", text).is_ok());
}
