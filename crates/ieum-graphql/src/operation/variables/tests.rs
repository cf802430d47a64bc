//! What becomes of the values that a client sends.

use serde_json::value::RawValue;

use super::*;
use crate::operation::{self, Given, Rules};
use crate::supergraph::Supergraph;

/// A schema with every kind of input.
const SCHEMA: &str = r#"
schema @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) { query: Query }
enum join__Graph { A @join__graph(name: "a", url: "http://a") }
scalar Any @join__type(graph: A)
enum Size @join__type(graph: A) {
  SMALL @join__enumValue(graph: A)
  LARGE @join__enumValue(graph: A)
  HIDDEN @inaccessible @join__enumValue(graph: A)
}
input Box @join__type(graph: A) { size: Size! = SMALL, count: Int!, inner: [Box!], label: String = "none", any: Any }
input Chain @join__type(graph: A) { n: Int, next: Chain = {n: 1} }
input Choice @join__type(graph: A) @oneOf { id: ID, name: String }
type Query @join__type(graph: A) {
  f(i: Int, f: Float, s: String, b: Boolean, id: ID, size: Size, any: Any, box: Box, choice: Choice,
    list: [[Int]], chain: Chain, need: Int! = 7, boxes: [Box!]): Int
}
"#;

/// Coerces one variable `$v` of a type; the answer is its JSON, the message, or nothing.
fn coerced(definition: &str, json: &str) -> String {
    let supergraph = Supergraph::parse(SCHEMA).expect("a supergraph");
    let argument = definition.split([' ', '=']).next().unwrap_or_default();
    let argument = match argument.trim_end_matches('!') {
        "Int" if argument.ends_with('!') => "need",
        "Int" => "i",
        "Float" => "f",
        "String" => "s",
        "Boolean" => "b",
        "ID" => "id",
        "Size" => "size",
        "Any" => "any",
        "Box" => "box",
        "Chain" => "chain",
        "Choice" => "choice",
        "[[Int]]" => "list",
        _ => "boxes",
    };
    let request = Request {
        query: format!("query ($v: {definition}) {{ f({argument}: $v) }}"),
        variables: Some(RawValue::from_string(json.to_owned()).expect("valid JSON")),
        ..Request::default()
    };
    let (api, limits) = (supergraph.api(), Limits::default());
    let selection = operation::select(
        &request.query,
        None,
        api,
        &Rules::new(),
        &limits,
        &Given::default(),
    );
    let selection = selection.expect("a valid query");
    match coerce(&selection.variables, &request, api, &limits) {
        Ok(variables) => variables.get("v").unwrap_or("absent").to_owned(),
        Err(rejection) => {
            assert_eq!(rejection.errors()[0].code(), "BAD_USER_INPUT");
            rejection.to_string()
        }
    }
}

fn check(definition: &str, json: &str, expected: &str) {
    assert_eq!(coerced(definition, json), expected, "{definition} {json}");
}

#[test]
fn scalars_are_taken_as_the_specification_says() {
    check("Int", r#"{"v":3}"#, "3");
    check("Int", r#"{"v":3.0}"#, "3");
    check(
        "Int",
        r#"{"v":2147483648}"#,
        "Variable \"$v\" must be a whole number of 32 bits.",
    );
    check(
        "Int",
        r#"{"v":3.5}"#,
        "Variable \"$v\" must be a whole number of 32 bits.",
    );
    check(
        "Int",
        r#"{"v":"3"}"#,
        "Variable \"$v\" must be a whole number of 32 bits.",
    );
    check("Float", r#"{"v":3}"#, "3");
    check("Float", r#"{"v":"3"}"#, "Variable \"$v\" must be a number.");
    check("String", r#"{"v":"é"}"#, "\"é\"");
    check("String", r#"{"v":3}"#, "Variable \"$v\" must be a string.");
    check("Boolean", r#"{"v":true}"#, "true");
    check(
        "Boolean",
        r#"{"v":0}"#,
        "Variable \"$v\" must be true or false.",
    );
    check("ID", r#"{"v":12}"#, "\"12\"");
    check("ID", r#"{"v":"x"}"#, "\"x\"");
    check(
        "ID",
        r#"{"v":1.5}"#,
        "Variable \"$v\" must be a string or a whole number.",
    );
    check("Any", r#"{"v":{"a":[1,null]}}"#, r#"{"a":[1,null]}"#);
    check("Size", r#"{"v":"LARGE"}"#, "\"LARGE\"");
    check(
        "Size",
        r#"{"v":"HIDDEN"}"#,
        "Variable \"$v\" must be a value of the enum \"Size\".",
    );
}

#[test]
fn null_absent_and_default_are_three_things() {
    check("Int", "{}", "absent");
    check("Int", r#"{"v":null}"#, "null");
    check("Int = 5", "{}", "5");
    check("Int = 5", r#"{"v":null}"#, "null");
    check(
        "Int!",
        "{}",
        "Variable \"$v\" is required, and was not provided.",
    );
    check("Int!", r#"{"v":null}"#, "Variable \"$v\" must not be null.");
    check(
        "Int!",
        r#"{"other":1}"#,
        "Variable \"$v\" is required, and was not provided.",
    );
}

#[test]
fn one_value_stands_for_a_list() {
    check("[[Int]]", r#"{"v":[[1,null],null]}"#, "[[1,null],null]");
    check("[[Int]]", r#"{"v":[1,2]}"#, "[[1],[2]]");
    check("[[Int]]", r#"{"v":1}"#, "[[1]]");
    check(
        "[[Int]]",
        r#"{"v":[[1],["x"]]}"#,
        "Variable \"$v[1][0]\" must be a whole number of 32 bits.",
    );
}

#[test]
fn input_objects_get_their_defaults_and_errors_their_place() {
    check(
        "Box",
        r#"{"v":{"count":1}}"#,
        r#"{"size":"SMALL","count":1,"label":"none"}"#,
    );
    check(
        "Box",
        r#"{"v":{"count":1,"label":null,"inner":{"count":2,"size":"LARGE"}}}"#,
        r#"{"size":"SMALL","count":1,"inner":[{"size":"LARGE","count":2,"label":"none"}],"label":null}"#,
    );
    check(
        "[Box!]",
        r#"{"v":[{"count":1},{"inner":[]}]}"#,
        "Variable \"$v[1].count\" is required, and was not provided.",
    );
    check(
        "Box",
        r#"{"v":{"count":1,"inner":[{"count":"secret"}]}}"#,
        "Variable \"$v.inner[0].count\" must be a whole number of 32 bits.",
    );
    check(
        "Box",
        r#"{"v":{"count":1,"extra":1}}"#,
        "Variable \"$v\" has a field that \"Box\" does not have: \"extra\".",
    );
    check(
        "Box",
        r#"{"v":{"count":1,"size":null}}"#,
        "Variable \"$v.size\" must not be null.",
    );
    check(
        "Box",
        r#"{"v":[]}"#,
        "Variable \"$v\" must be an object of type \"Box\".",
    );
}

#[test]
fn exactly_one_field_of_a_choice_is_given() {
    check("Choice", r#"{"v":{"id":"1"}}"#, r#"{"id":"1"}"#);
    for wrong in [
        r#"{"v":{}}"#,
        r#"{"v":{"id":"1","name":"a"}}"#,
        r#"{"v":{"id":null}}"#,
    ] {
        check(
            "Choice",
            wrong,
            "Variable \"$v\" must have exactly one field of \"Choice\", and not null.",
        );
    }
}

#[test]
fn a_default_that_lacks_itself_is_not_filled_in_for_ever() {
    check("Chain", r#"{"v":{}}"#, r#"{"next":{"n":1}}"#);
    check(
        "Chain",
        r#"{"v":{"next":{"n":2}}}"#,
        r#"{"next":{"n":2,"next":{"n":1}}}"#,
    );
}
