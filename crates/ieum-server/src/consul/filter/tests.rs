//! The language, as its users write it.

use serde_json::{Value, json};

use super::{CATALOG_SERVICE, CHECK, ENTRY, Filter, NODE};

fn entry() -> Value {
    json!({
        "Node": {"ID": "1", "Node": "ieum", "Address": "127.0.0.1", "Datacenter": "dc1",
                 "TaggedAddresses": {"lan": "127.0.0.1"}, "Meta": {}},
        "Service": {"ID": "web-1", "Service": "web", "Tags": ["primary", "v2"], "Port": 8080,
                    "Address": "10.0.0.1", "Meta": {"version": "2.1", "my-key": "x y"},
                    "Weights": {"Passing": 3, "Warning": 1}, "EnableTagOverride": false},
        "Checks": [{"CheckID": "a", "Status": "passing", "ServiceTags": []},
                   {"CheckID": "b", "Status": "warning", "ServiceTags": ["primary"]}],
    })
}

fn check(filter: &str, expected: bool) {
    let read = Filter::parse(filter, &ENTRY).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    assert_eq!(read.passes(&entry()), expected, "{filter}");
}

fn check_refused(filter: &str, why: &str) {
    let refused = Filter::parse(filter, &ENTRY).expect_err(filter);
    let said = format!("{refused:?}");
    assert!(
        said.contains("Failed to create boolean expression evaluator: "),
        "{said}"
    );
    assert!(said.contains(why), "{filter}: {said}");
}

#[test]
fn a_value_is_compared_in_the_way_of_its_kind() {
    check(r#"Service.Service == "web""#, true);
    check("Service.Service == web", true);
    check("Service.Service != `web`", false);
    check("Service.Port == 8080", true);
    check(r#"Service.Port == "8080""#, true);
    check("Service.Port != 80", true);
    check("Service.Weights.Passing == 3", true);
    check("Service.EnableTagOverride == false", true);
    check(r#"Service.Kind == """#, true);
}

#[test]
fn a_list_has_a_text_a_map_a_name_and_a_text_a_part() {
    check(r#""primary" in Service.Tags"#, true);
    check("primary in Service.Tags", true);
    check(r#""prim" in Service.Tags"#, false);
    check(r#""v1" not in Service.Tags"#, true);
    check(r#"Service.Tags contains "v2""#, true);
    check(r#"Service.Tags not contains "v2""#, false);
    check(r#""version" in Service.Meta"#, true);
    check(r#""10.0." in Service.Address"#, true);
}

#[test]
fn what_a_map_does_not_have_is_not_equal_to_anything_asked() {
    check(r#"Service.Meta.version == "2.1""#, true);
    check(r#"Service.Meta["my-key"] == "x y""#, true);
    check(r#"Service.Meta.missing == "x""#, false);
    check(r#"Service.Meta.missing != "x""#, true);
    check(r#"Service.Meta.missing matches ".*""#, false);
    check("Node.Meta is empty", true);
    check("Service.Meta is not empty", true);
    check("Node.TaggedAddresses.lan == `127.0.0.1`", true);
}

#[test]
fn patterns_match_anywhere() {
    check(r#"Service.Meta.version matches "^2\\.""#, true);
    check(r"Service.Meta.version matches `^2\.\d$`", true);
    check(r#"Service.ID not matches "^db""#, true);
    check(r#"Service.ID matches "b-""#, true);
}

#[test]
fn one_of_several_checks_is_enough() {
    check(r#"Checks.Status == "warning""#, true);
    check(r#"Checks.Status != "passing""#, true);
    check(r#"not Checks.Status == "critical""#, true);
    check("Checks is empty", false);
    check(r#""primary" in Checks.ServiceTags"#, true);
}

#[test]
fn not_binds_more_than_and_and_that_more_than_or() {
    let (yes, no) = ("Service.Port == 8080", "Service.Port == 1");
    check(&format!("{yes} or {no} and {no}"), true);
    check(&format!("({yes} or {no}) and {no}"), false);
    check(&format!("not {no} and {yes}"), true);
    check(&format!("not ({no} or {yes})"), false);
    check(&format!("{no} or {no} or {yes}"), true);
    check(&format!("  ( not\tnot {yes} ) "), true);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_place() {
    check_refused(
        "Service.Nope == 1",
        r#"Selector \"Service.Nope\" is not valid"#,
    );
    check_refused("Service.Meta.a.b == 1", "is not valid");
    check_refused("Service == web", "Invalid match operator");
    check_refused(
        "Service.Tags == web",
        r#"\"Equal\" for selector \"Service.Tags\""#,
    );
    check_refused("Service.ID is empty", "Is Empty");
    check_refused("Service.Port matches `8`", "Matches");
    check_refused("Service.Port == web", "Failed to coerce value");
    check_refused("Service.ID matches `(`", "Failed to compile");
    check_refused("", "1:1 (0): no match found");
    check_refused("Service.ID ==", "1:14 (13)");
    check_refused("Service.ID == \"x", "the text does not end");
    check_refused("(Service.Port == 1", "expected: `)`");
    check_refused("Service.Port == 1 Service.Port == 1", "expected: `and`");
    check_refused("Service.Port = 1", "has no place here");
    check_refused("Service.Port ; 1", "has no place here");
}

#[test]
fn an_expression_is_bounded() {
    check_refused(&"(".repeat(1_000), "deeper than");
    check_refused(
        &format!("{}Service.Port == 1", "not ".repeat(500)),
        "deeper than",
    );
    check_refused(&" ".repeat(5_000), "longer than");
    check_refused(
        r"Service.ID matches `(((a{100}){100}){100})`",
        "Failed to compile",
    );
    let many = vec!["Service.Port == 8080"; 150].join(" and ");
    check(&many, true);
}

#[test]
fn each_answer_has_selectors_of_its_own() {
    assert!(Filter::parse("Status == passing", &CHECK).is_ok());
    assert!(Filter::parse("Meta.os == linux", &NODE).is_ok());
    assert!(Filter::parse("ServiceMeta.os == linux", &CATALOG_SERVICE).is_ok());
    assert!(Filter::parse("ServiceMeta.os == linux", &ENTRY).is_err());
}
