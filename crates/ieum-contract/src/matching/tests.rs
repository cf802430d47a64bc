//! The rules, one case after another, through one door.

use serde_json::json;

use super::*;
use crate::model::{Body, Message, Request, Response};
use crate::rules::Rules;

fn response(body: &Value, rules: &Value) -> Response {
    Response {
        body: Body::json(body),
        rules: Rules::of_json(rules).expect("rules"),
        ..Response::default()
    }
}

/// The mismatches of a body under rules for its places.
fn check(
    example: impl Into<Value>,
    rules: impl Into<Value>,
    actual: impl Into<Value>,
) -> Vec<String> {
    let (example, rules, actual) = (example.into(), rules.into(), actual.into());
    let rules = rules
        .as_object()
        .expect("rules")
        .iter()
        .map(|(path, rule)| {
            let matchers = if rule.is_array() {
                rule.clone()
            } else {
                json!([rule])
            };
            (
                path.clone(),
                json!({ "combine": "AND", "matchers": matchers }),
            )
        });
    let rules = json!({ "body": Value::Object(rules.collect()) });
    let found = match_response(&response(&example, &rules), &response(&actual, &json!({})));
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_response_may_have_more_fields_and_not_fewer() {
    let rules = || json!({});
    assert_eq!(
        check(json!({ "a": 1 }), rules(), json!({ "a": 1, "b": 2 })),
        [""; 0]
    );
    let missing = check(
        json!({ "user": { "name": "Kim" } }),
        rules(),
        json!({ "user": {} }),
    );
    assert_eq!(
        missing,
        ["$.body.user.name: expected \"Kim\", but it is missing"]
    );
    let other = check(json!({ "a": [1, 2] }), rules(), json!({ "a": [1] }));
    assert_eq!(other, ["$.body.a: expected 2 items, was 1"]);
}

#[test]
fn a_request_may_have_no_more_fields() {
    let expected = Request {
        body: Body::json(&json!({ "a": 1 })),
        ..Request::default()
    };
    let actual = Request {
        body: Body::json(&json!({ "a": 1, "b": 2 })),
        ..Request::default()
    };
    let found = match_request(&expected, &actual);
    assert_eq!(found[0].to_string(), "$.body.b: is not expected");
}

#[test]
fn a_type_cascades_until_another_rule_ends_it() {
    let rules = || json!({ "$": { "match": "type" }, "$.fixed": { "match": "equality" } });
    let example = || json!({ "a": { "b": [1] }, "fixed": "x" });
    assert_eq!(
        check(
            example(),
            rules(),
            json!({ "a": { "b": [7, 8] }, "fixed": "x" })
        ),
        [""; 0]
    );
    let wrong = check(
        example(),
        rules(),
        json!({ "a": { "b": ["7"] }, "fixed": "y" }),
    );
    assert_eq!(
        wrong,
        [
            "$.body.a.b[0]: expected a number, was a string: \"7\"",
            "$.body.fixed: expected \"x\", was \"y\""
        ]
    );
}

#[test]
fn a_mismatch_names_the_field_and_what_came() {
    let rules = json!({ "$.items": { "match": "type", "min": 1 }, "$.items[*].price": { "match": "integer" } });
    let wrong = check(
        json!({ "items": [{ "price": 1 }] }),
        rules,
        json!({ "items": [{ "price": "12" }] }),
    );
    assert_eq!(
        wrong,
        ["$.body.items[0].price: expected an integer, was \"12\""]
    );
}

#[test]
fn each_rule_says_yes_to_what_it_means_and_no_to_the_rest() {
    let moment = |name: &str| json!({ "match": name });
    let table = [
        (
            json!({ "match": "regex", "regex": "^a\\d+(?!c).$" }),
            json!("a1b"),
            json!("a1c"),
        ),
        (
            json!({ "match": "include", "value": "ieu" }),
            json!("ieum"),
            json!("mui"),
        ),
        (json!({ "match": "integer" }), json!(1), json!(1.5)),
        (json!({ "match": "decimal" }), json!(1.5), json!(1)),
        (json!({ "match": "number" }), json!(1.5), json!("1.5")),
        (json!({ "match": "boolean" }), json!(false), json!(0)),
        (json!({ "match": "null" }), json!(null), json!("null")),
        (moment("date"), json!("2026-11-21"), json!("2026-11-31")),
        (moment("time"), json!("16:30:00"), json!("16:30")),
        (
            moment("timestamp"),
            json!("2026-11-21T16:30:00Z"),
            json!("2026-11-21"),
        ),
        (json!({ "match": "notEmpty" }), json!("x"), json!("")),
        (
            json!({ "match": "semver" }),
            json!("1.2.3-rc.1+b"),
            json!("1.2"),
        ),
        (
            json!({ "match": "type", "min": 2, "max": 3 }),
            json!([1, 2]),
            json!([1]),
        ),
        (
            json!({ "match": "contentType", "value": "application/json" }),
            json!("{}"),
            json!("{"),
        ),
    ];
    for (rule, good, bad) in table {
        let case = |actual: &Value| {
            check(
                json!({ "v": good }),
                json!({ "$.v": rule.clone() }),
                json!({ "v": actual }),
            )
        };
        assert_eq!(case(&good), [""; 0], "{rule}");
        assert_ne!(case(&bad), [""; 0], "{rule}");
    }
}

#[test]
fn keys_and_values_of_maps_are_judged_each() {
    let rules = || {
        let key =
            json!({ "match": "eachKey", "rules": [{ "match": "regex", "regex": "^[a-z]+$" }] });
        let value = json!({ "match": "eachValue", "rules": [{ "match": "integer" }] });
        json!({ "$.map": [key, value] })
    };
    let example = || json!({ "map": { "kim": 1 } });
    assert_eq!(
        check(
            example(),
            rules(),
            json!({ "map": { "lee": 2, "park": 3 } })
        ),
        [""; 0]
    );
    let wrong = check(example(), rules(), json!({ "map": { "LEE": "2" } }));
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    let values = check(
        example(),
        json!({ "$.map": { "match": "values" }, "$.map.*": { "match": "type" } }),
        json!({ "map": { "x": 9 } }),
    );
    assert_eq!(values, [""; 0]);
}

#[test]
fn a_list_contains_its_variants_in_any_order_among_others() {
    let rules = || {
        let variant = |index: u64, field: &str| json!({ "index": index, "rules": { field: { "matchers": [{ "match": "type" }] } } });
        json!({ "$": { "match": "arrayContains", "variants": [variant(0, "$.id"), variant(1, "$.n")] } })
    };
    let example = || json!([{ "id": 1, "kind": "a" }, { "n": "x", "kind": "b" }]);
    let good = json!([{ "kind": "c" }, { "n": "y", "kind": "b" }, { "id": 9, "kind": "a" }]);
    assert_eq!(check(example(), rules(), good), [""; 0]);
    assert_eq!(
        check(example(), rules(), json!([{ "id": 9, "kind": "a" }])).len(),
        1
    );
}

#[test]
fn one_rule_of_several_may_be_enough() {
    let rules = json!({ "body": { "$.v": { "combine": "OR",
        "matchers": [{ "match": "integer" }, { "match": "null" }] } } });
    let expected = response(&json!({ "v": 1 }), &rules);
    let found =
        |v: Value| match_response(&expected, &response(&json!({ "v": v }), &json!({}))).len();
    assert_eq!((found(json!(null)), found(json!(5))), (0, 0));
    assert!(found(json!("x")) > 0);
}

#[test]
fn the_head_of_a_request_follows_its_rules() {
    let list = |rule: Value| json!({ "combine": "AND", "matchers": [rule] });
    let rules = json!({
        "path": list(json!({ "match": "regex", "regex": "^/users/\\w+$" })),
        "query": { "page": list(json!({ "match": "integer" })) },
        "header": { "X-Id": list(json!({ "match": "regex", "regex": "^\\d+$" })) },
    });
    let mut expected = Request {
        path: "/users/kim".into(),
        query: BTreeMapOf::from([("page".into(), vec!["1".into()])]),
        rules: Rules::of_json(&rules).expect("rules"),
        ..Request::default()
    };
    expected.headers.add("X-Id", "1");
    let mut actual = expected.clone();
    actual.path = "/users/lee".into();
    actual.query.insert("page".into(), vec!["2".into()]);
    actual.headers.set("x-id", "22");
    assert_eq!(match_request(&expected, &actual), []);
    actual.query.insert("more".into(), vec!["x".into()]);
    actual.headers.set("x-id", "b");
    actual.method = "POST".into();
    let paths: Vec<String> = match_request(&expected, &actual)
        .into_iter()
        .map(|m| m.path)
        .collect();
    assert_eq!(paths, ["$.method", "$.query.more", "$.headers.x-id"]);
}

type BTreeMapOf = std::collections::BTreeMap<String, Vec<String>>;

#[test]
fn a_status_and_a_type_are_said_first() {
    let mut expected = response(&json!({ "a": 1 }), &json!({}));
    expected.headers.set("content-type", "application/json");
    let actual = Response {
        status: 500,
        body: Body::Present {
            bytes: "oops".into(),
            media_type: Some("text/plain".into()),
        },
        ..Response::default()
    };
    let found: Vec<String> = match_response(&expected, &actual)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found[0], "$.status: expected 200, was 500");
    assert!(
        found.iter().any(|text| text.contains("application/json")),
        "{found:?}"
    );
}

#[test]
fn a_message_is_judged_by_contents_and_metadata() {
    let message = |body: Value, topic: &str| Message {
        contents: Body::json(&body),
        metadata: [("topic".to_owned(), json!(topic))].into(),
        ..Message::default()
    };
    let expected = message(json!({ "orderId": "1" }), "order.events");
    let found = match_message(&expected, &message(json!({ "id": "1" }), "orders"));
    let paths: Vec<&str> = found
        .iter()
        .map(|mismatch| mismatch.path.as_str())
        .collect();
    assert_eq!(paths, ["$.contents.orderId", "$.metadata.topic"]);
}

#[test]
fn a_list_without_rules_is_no_rule() {
    let none = || json!({ "$.a": [] });
    let found = check(json!({ "a": 1 }), none(), json!({ "a": "x" }));
    assert_eq!(found, ["$.body.a: expected 1, was \"x\""]);
    let each = json!({ "$.a": { "match": "eachValue", "rules": [] } });
    let found = check(
        json!({ "a": { "k": 1 } }),
        each,
        json!({ "a": { "k": "x" } }),
    );
    assert_eq!(found, ["$.body.a.k: expected 1, was \"x\""]);
}
