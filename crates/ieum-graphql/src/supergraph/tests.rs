//! Supergraphs that are accepted, and what is said of those that are not.

use super::*;
use crate::operation::parser;
use crate::planner::{Budget, Planner};

fn source(name: &str, sdl: &str) -> SubgraphSource {
    SubgraphSource {
        name: name.to_owned(),
        url: format!("http://{name}/graphql"),
        sdl: sdl.to_owned(),
    }
}

fn planned(supergraph: &Supergraph, query: &str) -> usize {
    let planner = crate::hive::HivePlanner::new(supergraph).expect("the planner takes it");
    let parsed = parser::parse(query).expect("the query parses");
    let budget = Budget {
        time: std::time::Duration::from_secs(60),
        fields: 1_000,
    };
    let plan = planner
        .plan(&parsed.document, budget)
        .expect("there is a plan");
    plan.fetches()
}

#[test]
fn what_is_composed_can_be_planned() {
    let sources = [
        source("users", include_str!("../testdata/users.graphql")),
        source("orders", include_str!("../testdata/orders.graphql")),
    ];
    let sdl = compose(&sources).expect("it composes");
    assert_eq!(
        compose(&sources).ok().as_ref(),
        Some(&sdl),
        "always the same text"
    );
    let supergraph = Supergraph::parse(&sdl).expect("it is a supergraph");
    let names: Vec<_> = supergraph
        .subgraphs()
        .iter()
        .map(|it| (&*it.name, &*it.url))
        .collect();
    assert_eq!(
        names,
        [
            ("users", "http://users/graphql"),
            ("orders", "http://orders/graphql")
        ]
    );
    assert_eq!(
        planned(
            &supergraph,
            "{ user(id: 1) { name orders { id buyer { email } } } }"
        ),
        3
    );
}

#[test]
fn subgraphs_of_federation_1_are_composed_too() {
    let sources = [
        source(
            "users",
            "type Query { me: User } type Mutation { rename(name: String!): User } type User @key(fields: \"id\") { id: ID! name: String }",
        ),
        source(
            "reviews",
            "extend type Query { top: [Review] } type Review { text: String author: User } extend type User @key(fields: \"id\") { id: ID! @external reviews: [Review] }",
        ),
        // As a service writes it whose framework adds federation's own definitions.
        source(
            "stock-2",
            "schema { query: Root } type Root { stock(sku: String! = \"🍣\"): Int _service: _Service! } type _Service { sdl: String } scalar _Any",
        ),
    ];
    let sdl = compose(&sources).expect("it composes");
    assert!(sdl.contains("🍣"), "{sdl}");
    let supergraph = Supergraph::parse(&sdl).expect("it is a supergraph");
    assert_eq!(
        planned(
            &supergraph,
            "{ me { name reviews { text author { name } } } }"
        ),
        3
    );
    assert_eq!(planned(&supergraph, "{ stock top { text } }"), 2);
    assert_eq!(
        planned(
            &supergraph,
            "mutation { rename(name: \"a\") { reviews { text } } }"
        ),
        2
    );
}

#[test]
fn what_cannot_be_composed_says_which_subgraph_and_why() {
    let check = |sources: &[SubgraphSource], expected: &str| {
        let error = compose(sources).expect_err("it does not compose");
        assert_eq!(error.kind(), ErrorKind::Composition);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&[], "No subgraphs");
    check(&[source("a", "type Query {")], "subgraph `a`");
    check(
        &[source("1a", "type Query { a: Int }")],
        "`1a` cannot be the name of a subgraph",
    );
    check(
        &[
            source("a-b", "type Query { a: Int }"),
            source("a_b", "type Query { a: Int }"),
        ],
        "two subgraphs are named `a_b`",
    );
    check(
        &[
            source("a", "type Query { a: T } type T { x: Int }"),
            source("b", "type Query { b: T } enum T { X }"),
        ],
        "T",
    );
}

#[test]
fn a_supergraph_that_others_composed_is_read() {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    let names: Vec<_> = supergraph.subgraphs().iter().map(|it| &*it.name).collect();
    assert_eq!(
        names,
        ["inventory", "makers", "pricing", "products", "reviews"]
    );
    let api = supergraph.api();
    assert_eq!(api.mutation_type(), Some("Mutation"));
    assert_eq!(api.possible_types("Hit"), ["Product", "Bundle", "Maker"]);
    assert!(api.field("Product", "cost").is_none(), "it is inaccessible");
    assert!(api.type_by_name("By").is_none(), "it is inaccessible");
    assert!(
        api.type_by_name("join__Graph").is_none(),
        "it is federation's"
    );
}

/// A supergraph of one subgraph, with one part replaced.
fn broken(part: &str, replacement: &str) -> String {
    let sdl = r#"schema @link(url: "https://specs.apollo.dev/join/v0.3") { query: Query }
enum join__Graph { A @join__graph(name: "a", url: "") }
scalar S @join__type(graph: A)
interface N @join__type(graph: A, key: "id") { id: ID! }
type T implements N @join__type(graph: A, key: "id") @join__implements(graph: A, interface: "N") { id: ID! s: S t: T }
union U @join__type(graph: A) @join__unionMember(graph: A, member: "T") = T
type Query @join__type(graph: A) { t(x: Int): T @join__field(graph: A, provides: "t { s }") u: U }"#;
    assert!(Supergraph::parse(sdl).is_ok(), "the original is right");
    assert!(sdl.contains(part), "{part}");
    sdl.replacen(part, replacement, 1)
}

#[test]
fn what_contradicts_itself_is_refused_with_its_place() {
    use ErrorKind::{Inconsistent, NotASupergraph, Syntax, Unsupported};
    for (part, replacement, kind, message) in [
        (
            "@link(url: \"https://specs.apollo.dev/join/v0.3\")",
            "@core(feature: \"https://specs.apollo.dev/join/v0.1\")",
            Unsupported,
            "this supergraph was composed by Federation 1",
        ),
        (
            "provides: \"t { s }\"",
            "contextArguments: []",
            Inconsistent,
            "arguments from a context are not supported",
        ),
        ("schema", "schemas", Syntax, "Parse error"),
        (
            "union U",
            "\"\"\"\n a\n\u{3000}b\n\"\"\" union U",
            Syntax,
            "a description in the schema is not understood",
        ),
        (
            "join__Graph",
            "join__Graf",
            NotASupergraph,
            "there is no enum `join__Graph`",
        ),
        (
            "query: Query",
            "query: Root",
            Inconsistent,
            "the query type `Root` is no object type",
        ),
        (
            "query: Query",
            "query: S",
            Inconsistent,
            "the query type `S` is no object type",
        ),
        (
            "name: \"a\"",
            "title: \"a\"",
            Inconsistent,
            "`join__Graph.A` has no name",
        ),
        (
            "union U",
            "extend union U",
            Unsupported,
            "a supergraph has no `extend`",
        ),
        ("scalar S", "scalar T", Inconsistent, "`T` is defined twice"),
        (
            "s: S",
            "s: Z",
            Inconsistent,
            "`T`: field `s`: there is no type `Z`",
        ),
        (
            "x: Int",
            "x: Z",
            Inconsistent,
            "`Query`: field `t`: argument `x`: there is no type `Z`",
        ),
        (
            "type T implements N",
            "type T implements M",
            Inconsistent,
            "`T`: ",
        ),
        ("= T", "= Z", Inconsistent, "`U`: "),
        (
            "member: \"T\"",
            "member: \"Z\"",
            Inconsistent,
            "`U`: `@join__unionMember` names no member of the union",
        ),
        (
            "interface: \"N\"",
            "interface: \"M\"",
            Inconsistent,
            "`T`: `@join__implements` names no interface of the type",
        ),
        (
            "scalar S @join__type(graph: A)",
            "scalar S @join__type(graph: B)",
            Inconsistent,
            "`S`: there is no subgraph `B`",
        ),
        (
            "N @join__type(graph: A, key: \"id\")",
            "N @join__type(graph: A, key: \"no\")",
            Inconsistent,
            "`N`: `no`: `N` has no field `no`",
        ),
        (
            "N @join__type(graph: A, key: \"id\")",
            "N @join__type(graph: A, key: \"{{\")",
            Inconsistent,
            "`N`: `{{`",
        ),
        (
            "N @join__type(graph: A, key: \"id\")",
            "N @join__type(graph: A, key: \"...X\")",
            Inconsistent,
            "`N`: `...X`: a fragment spread",
        ),
        (
            "N @join__type(graph: A, key: \"id\")",
            "N @join__type(graph: A, isInterfaceObject: true)",
            Inconsistent,
            "`N`: an interface object needs a key",
        ),
        (
            "\"t { s }\"",
            "\"t\"",
            Inconsistent,
            "`Query`: field `t`: `t`: the selection of `t` does not fit",
        ),
        (
            "provides: \"t { s }\"",
            "type: \"[Z\"",
            Inconsistent,
            "`Query`: field `t`: `[Z` is no type",
        ),
        (
            "provides: \"t { s }\"",
            "override: \"b\", overrideLabel: \"percent(101)\"",
            Inconsistent,
            "is no share",
        ),
        (
            "u: U",
            "u: U @cost(weight: -1)",
            Inconsistent,
            "`@cost` needs numbers",
        ),
        (
            "u: U",
            "u: U @inaccessible t2: U @inaccessible",
            Inconsistent,
            "",
        ),
    ] {
        let sdl = broken(part, replacement);
        match Supergraph::parse(&sdl) {
            Ok(supergraph) if message.is_empty() => {
                assert!(supergraph.api().field("Query", "u").is_none())
            }
            Ok(_) => panic!("{replacement} is accepted"),
            Err(error) => {
                assert!(
                    error.to_string().starts_with(message) || error.to_string().contains(message),
                    "{replacement}: {error}"
                );
                assert_eq!(error.kind(), kind, "{replacement}: {error}");
            }
        }
    }
}

#[test]
fn what_only_inaccessible_fields_use_disappears_with_them() {
    let sdl = broken("u: U }", "u: U @inaccessible }");
    let sdl = sdl.replacen(
        "union U @join__type",
        "union U @inaccessible @join__type",
        1,
    );
    let supergraph = Supergraph::parse(&sdl).expect("a supergraph");
    assert!(supergraph.api().type_by_name("U").is_none());
    assert!(supergraph.api().type_by_name("T").is_some());

    let nothing = broken(
        "t(x: Int): T @join__field",
        "t(x: Int): T @inaccessible @join__field",
    );
    let nothing = nothing.replacen("u: U }", "u: U @inaccessible }", 1);
    let error = Supergraph::parse(&nothing).err().expect("no query is left");
    assert_eq!(error.kind(), ErrorKind::NotASupergraph);
}

/// Whether a supergraph is refused in words of ours; nothing is said of one that is accepted.
fn is_understood(sdl: &str) -> bool {
    let Ok(supergraph) = Supergraph::parse(sdl) else {
        return true;
    };
    match crate::hive::HivePlanner::new(&supergraph) {
        Ok(_) => true,
        Err(error) => error.to_string() != "the planner does not understand the supergraph",
    }
}

#[test]
fn no_missing_line_or_word_makes_the_planner_panic() {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let lines: Vec<&str> = sdl.lines().collect();
    for missing in 0..lines.len() {
        let mut rest = lines.clone();
        let line = rest.remove(missing);
        assert!(is_understood(&rest.join("\n")), "without `{line}`");
    }
    for part in [
        "key: \"id\"",
        "graph: PRODUCTS",
        "graph: REVIEWS",
        ", isInterfaceObject: true",
        "requires: \"weight\"",
        "override: \"products\"",
        "@join__implements(graph: PRODUCTS, interface: \"Item\")",
        "join__field(graph: INVENTORY, external: true)",
    ] {
        for (at, _) in sdl.match_indices(part) {
            let without = format!("{}{}", &sdl[..at], &sdl[at + part.len()..]);
            assert!(is_understood(&without), "without `{part}` at {at}");
        }
    }
}
