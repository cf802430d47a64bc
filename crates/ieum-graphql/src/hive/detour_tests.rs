//! Fields for which the library alone finds no plan.

use std::time::Duration;

use super::*;
use crate::operation::parser;
use crate::plan::{Entities, Required};

fn planner() -> HivePlanner {
    let sdl = include_str!("../testdata/world.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    HivePlanner::new(&supergraph).expect("a planner")
}

fn plan(query: &str) -> Node {
    let parsed = parser::parse(query).expect("the query parses");
    let budget = Budget {
        time: Duration::from_secs(60),
        fields: 20_000,
    };
    let plan = planner().plan(&parsed.document, budget);
    plan.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The last call of a plan.
fn last(node: &Node) -> &Entities {
    match node {
        Node::Sequence(nodes) | Node::Parallel(nodes) => last(nodes.last().expect("a step")),
        Node::Entities(entities) => entities,
        other => panic!("{other:?}"),
    }
}

/// The last call asks `subgraph` for `operation`, by what it needs under the names of the detour.
fn check(query: &str, subgraph: &str, operation: &str, needs: &[&str]) {
    let plan = plan(query);
    let call = last(&plan);
    assert_eq!((&*call.subgraph, &*call.operation), (subgraph, operation));
    let Required::Fragment { selections, .. } = &call.batches[0].requires[0] else {
        panic!("{:?}", call.batches[0].requires);
    };
    let names: Vec<&str> = selections
        .iter()
        .map(|each| match each {
            Required::Field { name, .. } => &**name,
            Required::Fragment { on, .. } => on,
        })
        .collect();
    assert_eq!(names, needs, "{query}");
}

#[test]
fn a_field_whose_service_is_reached_over_a_third_one_is_asked_for_last() {
    check(
        "{ latest { of { ... on Book { bargain } } } }",
        "stock",
        "query($_r0:[_Any!]!){_e0: _entities(representations: $_r0){...on Book{bargain}}}",
        &["__typename", "isbn", "price"],
    );
}

#[test]
fn fields_of_one_place_share_a_call_and_keep_their_names_arguments_and_conditions() {
    check(
        "query($zone: Zone, $show: Boolean!) { latest { of { ... on Book {
           cost: postage(zone: $zone) bargain @include(if: $show) } } } }",
        "stock",
        "query($zone:Zone,$show:Boolean!,$_r0:[_Any!]!){_e0: _entities(representations: $_r0)\
         {...on Book{cost: postage(zone: $zone) bargain @include(if: $show)}}}",
        &["__typename", "isbn", "price", "weight"],
    );
}

#[test]
fn fields_of_several_places_share_a_call_of_several_batches() {
    let plan = plan(
        "{ latest { of { ... on Book { bargain } } } \
           authors { works { ... on Book { warehouses { books { bargain } } } } } }",
    );
    let paths: Vec<usize> = last(&plan)
        .batches
        .iter()
        .map(|b| b.paths[0].len())
        .collect();
    assert_eq!(paths, [4, 9]);
}

#[test]
fn what_has_a_plan_makes_no_detour() {
    let plan = plan("{ book(isbn: \"1\") { bargain } }");
    assert_eq!(last(&plan).batches[0].alias, "_entities");
}

#[test]
fn an_interface_object_is_asked_about_objects_of_every_type() {
    let plan = plan("{ best { ... on Book { stars } ... on Film { id } } }");
    let requires = &last(&plan).batches[0].requires;
    assert!(
        matches!(requires.as_slice(), [Required::Fragment { on, .. }] if on == "Media"),
        "{requires:?}"
    );
}
