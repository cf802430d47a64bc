//! Documents against the schema of a supergraph that others composed.

use serde_json::value::RawValue;

use super::*;
use crate::plan::Selected;
use crate::request::Request;
use crate::supergraph::Supergraph;

fn checked(text: &str) -> Result<Selection, Rejection> {
    given(text, &Given::default())
}

fn given(text: &str, given: &Given) -> Result<Selection, Rejection> {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    select(
        text,
        None,
        supergraph.api(),
        &Rules::new(),
        &Limits::default(),
        given,
    )
}

/// Documents that validation refuses.
fn check_refused(rule: &str, documents: &[&str]) {
    for document in documents {
        match checked(document) {
            Ok(_) => panic!("{rule}: {document} is accepted"),
            Err(rejection) => {
                assert_eq!(rejection.reason(), Reason::Validation, "{rule}: {document}");
            }
        }
    }
}

#[test]
fn valid_documents_are_accepted() {
    for document in [
        "{ kinds }",
        "query Q($ids: [ID!]!, $no: Boolean = false) { products(ids: $ids) { id ... @skip(if: $no) { title } } }",
        "query ($id: ID!) { products(ids: [$id, \"2\", 3]) { id } }",
        "query ($stars: Int! = 2) { items { reviews(filter: { stars: $stars, words: \"one\" }) { text } } }",
        "{ search(text: \"\") { __typename ... on Item { title } ... on Maker { name } } }",
        "{ items { ...I } } fragment I on Item { id ...P } fragment P on Product { stock }",
        "{ a: product(id: 1) { x: id } b: product(id: 2) { x: title } }",
        "{ latestReviews { author { ... on Customer { n: orders } ... on Robot { n: model } } } }",
        "mutation { restock(code: \"\", region: \"\", count: -1) { id } }",
        "{ product(id: 1) { held { until product { id } } } }",
    ] {
        // Fields of one name may differ only if no object can have both: here they may not.
        let expected = !document.contains("n: model");
        let result = checked(document);
        assert_eq!(result.is_ok(), expected, "{document}: {:?}", result.err());
    }
}

#[test]
fn each_rule_of_the_specification_refuses() {
    check_refused(
        "operation name uniqueness",
        &["query A { kinds } query A { kinds }"],
    );
    check_refused("lone anonymous operation", &["{ kinds } query A { kinds }"]);
    check_refused(
        "field selections",
        &[
            "{ search(text: \"\") { title } }",
            "{ nothing }",
            "{ product(id: 1) { cost } }",
        ],
    );
    check_refused(
        "field selection merging",
        &[
            "{ product(id: 1) { a: id a: title } }",
            "query ($a: String!) { product(id: 1) { shippingCost(zip: \"1\") shippingCost(zip: $a) } }",
            "{ product(id: 1) { sku { c: code } ...F } } fragment F on Product { sku { c: region } }",
        ],
    );
    check_refused(
        "leaf field selections",
        &["{ product(id: 1) }", "{ kinds { x } }"],
    );
    check_refused(
        "argument names",
        &[
            "{ product(id: 1, x: 2) { id } }",
            "{ kinds @skip(unless: true) }",
        ],
    );
    check_refused("argument uniqueness", &["{ product(id: 1, id: 2) { id } }"]);
    check_refused(
        "required arguments",
        &["{ product { id } }", "{ kinds @skip }"],
    );
    check_refused(
        "fragments",
        &[
            "{ ...F ...F } fragment F on Query { kinds } fragment F on Query { kinds }",
            "{ product(id: 1) { ... on Nope { id } } }",
            "{ product(id: 1) { ... on ID { id } } }",
            "{ kinds } fragment F on Query { kinds }",
            "{ ...Nope }",
            "{ ...F } fragment F on Query { kinds ...F }",
            "{ product(id: 1) { ... on Bundle { id } } }",
        ],
    );
    check_refused(
        "values",
        &[
            "{ items(first: \"x\") { id } }",
            "{ items(first: 9999999999) { id } }",
            "{ items(first: 1.0) { id } }",
            "{ product(id: null) { id } }",
            "{ product(id: 1.5) { id } }",
            "{ items { reviews(filter: { nope: 1 }) { id } } }",
            "{ items { reviews(filter: { by: { id: 1 } }) { id } } }",
            "{ items { reviews(filter: { stars: null }) { id } } }",
            "{ items { reviews(filter: { stars: 1, stars: 2 }) { id } } }",
            "query ($n: Int = \"x\") { items(first: $n) { id } }",
        ],
    );
    check_refused(
        "directives",
        &[
            "{ kinds @nope }",
            "query @skip(if: true) { kinds }",
            "{ kinds @skip(if: true) @skip(if: true) }",
            "{ kinds @deprecated }",
        ],
    );
    check_refused(
        "variables",
        &[
            "query ($a: ID!, $a: ID!) { product(id: $a) { id } }",
            "query ($a: Product) { kinds }",
            "query ($a: Nope) { product(id: $a) { id } }",
            "{ product(id: $a) { id } }",
            "{ ...F } fragment F on Query { product(id: $a) { id } }",
            "query ($a: ID) { kinds }",
            "query ($a: Int!) { product(id: $a) { id } }",
            "query ($a: ID) { product(id: $a) { id } }",
            "query ($a: [ID]!) { products(ids: $a) { id } }",
        ],
    );
}

#[test]
fn the_query_that_tools_send_to_see_the_schema_is_within_the_limits() {
    let of_type = "ofType { kind name ".repeat(9) + &"}".repeat(9);
    let query = format!(
        "query IntrospectionQuery {{
           __schema {{
             description queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
             types {{ ...Full }}
             directives {{ name description isRepeatable locations args(includeDeprecated: true) {{ ...Input }} }}
           }}
         }}
         fragment Full on __Type {{
           kind name description specifiedByURL isOneOf
           fields(includeDeprecated: true) {{
             name description args(includeDeprecated: true) {{ ...Input }} type {{ ...Ref }}
             isDeprecated deprecationReason
           }}
           inputFields(includeDeprecated: true) {{ ...Input }}
           interfaces {{ ...Ref }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
           possibleTypes {{ ...Ref }}
         }}
         fragment Input on __InputValue {{
           name description type {{ ...Ref }} defaultValue isDeprecated deprecationReason
         }}
         fragment Ref on __Type {{ kind name {of_type} }}"
    );
    let selection = checked(&query).expect("it is accepted");
    assert_eq!(selection.introspection.len(), 1);
    assert!(selection.planned.is_none(), "no subgraph is asked");
}

#[test]
fn the_response_keeps_the_order_of_the_query_and_what_its_conditions_leave() {
    let query = "query ($yes: Boolean!, $no: Boolean = false) {
           b: kinds
           ... on Query @include(if: $yes) { a: __typename ...F }
           ... @skip(if: true) { c: kinds }
           d: kinds @include(if: $no)
         }
         fragment F on Query { product(id: 1) { title @skip(if: $yes) id } }";
    for (yes, expected) in [(true, "b a product id"), (false, "b")] {
        let mut request = Request::new(query);
        let variables = format!("{{\"other\": 1, \"yes\": {yes}}}");
        request.variables = Some(RawValue::from_string(variables).expect("it is JSON"));
        let selection = given(query, &Given::of(&request)).expect("it is accepted");
        let mut keys = Vec::new();
        all_keys(&selection.response, &mut keys);
        assert_eq!(keys.join(" "), expected);
        let planned = selection.planned.expect("a subgraph is asked").to_string();
        assert!(
            !planned.contains('$') || !planned.contains("if: $"),
            "{planned}"
        );
    }
}

#[test]
fn a_selection_of_which_conditions_leave_nothing_is_still_one() {
    let selection = checked("{ product(id: 1) { ... on Product { id @skip(if: true) } } }");
    let selection = selection.expect("it is accepted");
    let planned = selection.planned.expect("a subgraph is asked").to_string();
    let words: Vec<&str> = planned.split_whitespace().collect();
    assert!(
        words.join(" ").contains("... on Product { __typename }"),
        "{planned}"
    );
    let mut keys = Vec::new();
    all_keys(&selection.response, &mut keys);
    assert_eq!(keys, ["product"]);
}

#[test]
fn a_condition_is_seen_however_it_is_written() {
    for (condition, kept_by) in [
        ("@skip(if: $v)", false),
        ("@ skip , (if:\n$ v)", false),
        ("@#x\n\u{feff}include(if: $v)", true),
    ] {
        let query = format!("query ($v: Boolean!) {{ a: kinds b: kinds {condition} }}");
        for value in [true, false] {
            let mut request = Request::new(&query);
            let variables = format!("{{\"v\": {value}}}");
            request.variables = Some(RawValue::from_string(variables).expect("it is JSON"));
            let selection = given(&query, &Given::of(&request)).expect("it is accepted");
            let mut keys = Vec::new();
            all_keys(&selection.response, &mut keys);
            let expected = if value == kept_by { "a b" } else { "a" };
            assert_eq!(keys.join(" "), expected, "{condition} {value}");
        }
    }
}

#[test]
fn variables_that_decide_no_condition_do_not_tell_requests_apart() {
    let of = |variables: &str| {
        let mut request =
            Request::new("query ($a: Boolean!, $b: Boolean) { x(b: $b) @skip(if: $a) }");
        request.variables = Some(RawValue::from_string(variables.to_owned()).expect("it is JSON"));
        Given::of(&request)
    };
    assert_eq!(
        of(r#"{"a": true, "b": false, "c": true}"#),
        of(r#"{"a": true}"#)
    );
    assert_ne!(of(r#"{"a": true}"#), of(r#"{"a": false}"#));
}

#[test]
fn an_alias_that_is_a_fields_name_is_set_apart() {
    let query = "{ product(id: 1) { id: title title x: title _ieum_alias_id: title __typename: id } \
                 __schema { types { kind: name ...F } } } fragment F on __Type { id: name }";
    let selection = checked(query).expect("it is accepted");
    let planned = selection.planned.expect("a subgraph is asked").to_string();
    let words: Vec<&str> = planned.split_whitespace().collect();
    let expected = "{ _ieum_alias_id: title title x: title _ieum_alias__ieum_alias_id: title \
                    _ieum_alias___typename: id }";
    assert!(words.join(" ").contains(expected), "{planned}");
    let introspected = format!("{:?} {:?}", selection.introspection, selection.fragments);
    assert!(!introspected.contains("_ieum_alias_"), "{introspected}");
}

fn all_keys(selected: &[Selected], keys: &mut Vec<String>) {
    for each in selected {
        match each {
            Selected::Field {
                key, selections, ..
            } => {
                keys.push(key.clone());
                all_keys(selections, keys);
            }
            Selected::Fragment { selections, .. } => all_keys(selections, keys),
        }
    }
}
