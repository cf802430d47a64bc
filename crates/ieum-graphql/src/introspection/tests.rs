//! Introspection as clients see it.

use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::limits::Limits;
use crate::operation::{self, Given, Rules};
use crate::request::Request;
use crate::supergraph::Supergraph;

fn introspect(query: &str) -> Result<Value, Rejection> {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    let api = supergraph.api();
    let mut request = Request::new(query);
    request.variables = Some(to_raw_value(&json!({"yes": true})).expect("it is JSON"));
    let selection = operation::select(
        query,
        None,
        api,
        &Rules::new(),
        &Limits::default(),
        &Given::of(&request),
    )
    .expect("a valid query");
    let mut variables = Variables::new();
    variables.insert("yes", &true).expect("a variable");
    variables.insert("type", &"Product").expect("a variable");
    let bytes = answer(
        api,
        &selection.introspection,
        &selection.fragments,
        &variables,
    )?;
    let bytes = bytes.expect("the query introspects");
    Ok(serde_json::from_slice(&bytes).expect("it is JSON"))
}

fn check(query: &str, expected: &Value) {
    assert_eq!(
        &introspect(query).expect("it is answered"),
        expected,
        "{query}"
    );
}

#[test]
fn roots_and_kinds_are_told() {
    check(
        "{ __schema { queryType { name } mutationType { kind name } subscriptionType { name } description } }",
        &json!({"__schema": {
            "queryType": {"name": "Query"},
            "mutationType": {"kind": "OBJECT", "name": "Mutation"},
            "subscriptionType": null,
            "description": null,
        }}),
    );
    check(
        r#"{ a: __type(name: "Hit") { kind possibleTypes { name } fields { name } }
             b: __type(name: "Item") { kind possibleTypes { name } interfaces { name } }
             c: __type(name: "Nothing") { name }
             d: __type(name: "Instant") { kind specifiedByURL isOneOf } }"#,
        &json!({
            "a": {"kind": "UNION", "possibleTypes": [{"name": "Product"}, {"name": "Bundle"}, {"name": "Maker"}], "fields": null},
            "b": {"kind": "INTERFACE", "possibleTypes": [{"name": "Bundle"}, {"name": "Product"}], "interfaces": []},
            "c": null,
            "d": {"kind": "SCALAR", "specifiedByURL": "https://www.rfc-editor.org/rfc/rfc3339", "isOneOf": null},
        }),
    );
}

#[test]
fn what_is_inaccessible_or_federations_is_not_there() {
    let answer = introspect(
        "{ __schema { types { name fields(includeDeprecated: true) { name } enumValues { name } inputFields { name } } directives { name } } }",
    );
    let text = answer.expect("it is answered").to_string();
    for hidden in [
        "join__",
        "link__",
        "\"cost\"",
        "\"By\"",
        "\"by\"",
        "SECRET",
        "inaccessible",
        "_entities",
        "_Any",
        "\"name\":\"__schema\"",
    ] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    for shown in [
        "\"shippingCost\"",
        "\"BOOK\"",
        "\"stars\"",
        "\"__Type\"",
        "\"skip\"",
        "\"oneOf\"",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
}

#[test]
fn deprecated_fields_are_shown_when_asked_for() {
    let shown = [
        "sku",
        "weight",
        "stock",
        "shippingCost",
        "held",
        "id",
        "discount",
        "title",
        "kind",
        "maker",
        "reviews",
    ];
    let shown = shown.map(|name| json!({"name": name}));
    check(
        "query ($type: String!) { __type(name: $type) { fields { name } } }",
        &json!({"__type": {"fields": shown}}),
    );
    let answer = introspect(
        r#"query ($yes: Boolean!) { __type(name: "Product") { fields(includeDeprecated: $yes) { name isDeprecated deprecationReason } } }"#,
    );
    let answer = answer.expect("it is answered");
    let fields = answer["__type"]["fields"].as_array().expect("fields");
    let price = fields.iter().find(|field| field["name"] == "price");
    assert_eq!(
        price.expect("the price"),
        &json!({"name": "price", "isDeprecated": true, "deprecationReason": "가격은 pricing 서비스에서 📦"})
    );
}

#[test]
fn types_arguments_and_defaults_are_written_as_graphql() {
    check(
        r#"{ __type(name: "Item") { fields { name type { ...T } args { name defaultValue type { ...T } } } } }
           fragment T on __Type { kind name ofType { kind ofType { kind ofType { name } } } }"#,
        &json!({"__type": {"fields": [
            {"name": "id", "type": {"kind": "NON_NULL", "name": null, "ofType": {"kind": "SCALAR", "ofType": null}}, "args": []},
            {"name": "title", "type": {"kind": "NON_NULL", "name": null, "ofType": {"kind": "SCALAR", "ofType": null}}, "args": []},
            {"name": "reviews",
             "type": {"kind": "NON_NULL", "name": null, "ofType": {"kind": "LIST", "ofType": {"kind": "NON_NULL", "ofType": {"name": "Review"}}}},
             "args": [{"name": "filter", "defaultValue": "{stars: 3}", "type": {"kind": "INPUT_OBJECT", "name": "ReviewFilter", "ofType": null}}]},
        ]}}),
    );
}

#[test]
fn directives_tell_where_they_may_stand() {
    let answer =
        introspect("{ __schema { directives { name isRepeatable locations args { name } } } }");
    let answer = answer.expect("it is answered");
    let directives = answer["__schema"]["directives"]
        .as_array()
        .expect("directives");
    let names: Vec<_> = directives.iter().map(|it| it["name"].as_str()).collect();
    let expected = ["skip", "include", "deprecated", "specifiedBy", "oneOf"].map(Some);
    assert_eq!(names, expected);
    assert_eq!(
        directives[0],
        json!({"name": "skip", "isRepeatable": false, "locations": ["FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"], "args": [{"name": "if"}]})
    );
}

#[test]
fn fields_of_one_key_are_merged_and_conditions_hold() {
    check(
        r#"query ($yes: Boolean!) {
             __schema { queryType { name @skip(if: $yes) kind } }
             __schema { queryType { description @include(if: false) __typename } __typename }
           }"#,
        &json!({"__schema": {"queryType": {"kind": "OBJECT", "__typename": "__Type"}, "__typename": "__Schema"}}),
    );
}

#[test]
fn introspection_in_circles_ends_at_a_limit() {
    // Each round doubles: an interface has two types, and each has that interface.
    let levels = 14;
    let query = format!(
        "{{ __type(name: \"Item\") {{ {} name {} }} }}",
        "possibleTypes { name kind interfaces { name kind ".repeat(levels),
        "} }".repeat(levels)
    );
    let rejection = introspect(&query).map(|_| ()).expect_err("it is too much");
    assert_eq!(rejection.reason(), Reason::Limit(Limit::Fields));
}
