//! Plans of the library as this crate understands them, and what it is kept from.

use std::time::Duration;

use super::*;
use crate::operation::parser;

fn planner() -> HivePlanner {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    HivePlanner::new(&supergraph).expect("a planner")
}

const BUDGET: Budget = Budget {
    time: Duration::from_secs(60),
    fields: 20_000,
};

fn plan(query: &str, budget: Budget) -> Result<Node, PlanError> {
    let parsed = parser::parse(query).expect("the query parses");
    planner().plan(&parsed.document, budget)
}

/// The plan in short: subgraphs in their order, `+` in parallel, `*` for entities, `?` for a condition.
fn sketch(node: &Node) -> String {
    let join = |nodes: &[Node], with: &str| {
        let parts: Vec<String> = nodes.iter().map(sketch).collect();
        parts.join(with)
    };
    match node {
        Node::Sequence(nodes) => join(nodes, " "),
        Node::Parallel(nodes) => {
            // What runs at once has no order.
            let mut parts: Vec<String> = nodes.iter().map(sketch).collect();
            parts.sort();
            format!("({})", parts.join("+"))
        }
        Node::Fetch(fetch) => fetch.subgraph.clone(),
        Node::Entities(entities) => {
            let batches = entities.batches.len();
            format!(
                "{}*{}",
                entities.subgraph,
                if batches > 1 {
                    batches.to_string()
                } else {
                    String::new()
                }
            )
        }
        Node::Condition(condition) => {
            let clause =
                |clause: &Option<Box<Node>>| clause.as_ref().map_or(String::new(), |it| sketch(it));
            format!(
                "?{}[{}|{}]",
                condition.variable,
                clause(&condition.then),
                clause(&condition.otherwise)
            )
        }
    }
}

fn check(query: &str, expected: &str) {
    let node = plan(query, BUDGET).expect("there is a plan");
    assert_eq!(sketch(&node), expected, "{query}\n{node:#?}");
}

#[test]
fn each_feature_of_federation_is_planned() {
    // A shared field from either; a key of two fields in an object; a required field fetched before.
    check("{ kinds }", "inventory");
    check("{ product(id: 1) { title stock } }", "products inventory*");
    check(
        "{ product(id: 1) { shippingCost(zip: \"1\") } }",
        "products inventory*",
    );
    // From inventory's key to pricing's, over products.
    check(
        "{ warehouse(id: 1) { holds { product { stock title discount } } } }",
        "inventory products* pricing*",
    );
    // Provided fields need no fetch, others do; an overridden field comes from its new owner.
    check("{ product(id: 1) { maker { name } } }", "products");
    check(
        "{ product(id: 1) { maker { name country } } }",
        "products makers*",
    );
    check("{ product(id: 1) { price } }", "products pricing*");
    // Interfaces, interface objects, unions, lists of lists.
    check("{ items { title } }", "products");
    check(
        "{ items { title reviews { text author { name ... on Robot { model } } } } }",
        "products reviews*",
    );
    check("{ latestReviews { about { title } } }", "reviews products*");
    check(
        "{ search(text: \"a\") { __typename ... on Product { stock } ... on Maker { country } } }",
        "products (inventory*+makers*)",
    );
    check("{ shelves { title discount } }", "products pricing*");
}

#[test]
fn roots_of_two_services_are_fetched_at_once_and_mutations_in_turn() {
    check(
        "{ product(id: 1) { title } latestReviews { text } }",
        "(products+reviews)",
    );
    check(
        "mutation { a: addReview(item: 1, text: \"\") { id } restock(code: \"a\", region: \"b\", count: 1) { stock } b: addReview(item: 1, text: \"\") { id } }",
        "reviews inventory reviews",
    );
}

#[test]
fn conditions_keep_their_variable() {
    check(
        "query ($with: Boolean!) { product(id: 1) { title discount @include(if: $with) } }",
        "products ?with[pricing*|]",
    );
}

#[test]
fn variables_and_literals_reach_the_subgraph_as_they_are() {
    let node = plan(
        r#"query ($zip: String! = "1\"2") { product(id: "é😀\n") { shippingCost(zip: $zip) } }"#,
        BUDGET,
    );
    let Ok(Node::Sequence(nodes)) = node else {
        panic!("{node:?}");
    };
    let [Node::Fetch(first), Node::Entities(second)] = nodes.as_slice() else {
        panic!("{nodes:?}");
    };
    assert!(
        first.operation.contains(r#"product(id: "é😀\n")"#),
        "{}",
        first.operation
    );
    assert_eq!(first.variables, Vec::<String>::new());
    assert!(
        second.operation.contains(r#"$zip:String!="1\"2""#),
        "{}",
        second.operation
    );
    assert_eq!(second.variables, ["zip"]);
    assert_eq!(second.batches[0].fields, ["shippingCost"]);
}

#[test]
fn a_plan_that_takes_too_long_is_given_up() {
    let budget = Budget {
        time: Duration::ZERO,
        ..BUDGET
    };
    let error = plan("{ product(id: 1) { title stock } }", budget);
    assert!(matches!(error, Err(PlanError::TooSlow)), "{error:?}");
}

#[test]
fn what_grows_by_spreading_over_types_is_refused_before_it_does() {
    // `reviews` is resolved elsewhere than the rest of the interface: each level is copied for each of
    // its object types.
    let levels = 24;
    let query = format!(
        "{{ items {{ {} id {} }} }}",
        "reviews { about { ".repeat(levels),
        "} }".repeat(levels)
    );
    let error = plan(&query, BUDGET);
    assert!(
        matches!(error, Err(PlanError::TooLarge { allowed: 20_000 })),
        "{error:?}"
    );
}
