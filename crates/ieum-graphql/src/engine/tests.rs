//! Requests against an engine.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::supergraph::{SubgraphSource, compose};
use crate::transport::{Call, FetchError, Fetched};

fn shop() -> Engine {
    static SHOP: LazyLock<Engine> = LazyLock::new(|| shop_with(Config::default()));
    SHOP.clone()
}

fn shop_with(config: Config) -> Engine {
    let source = |name: &str, sdl: &str| SubgraphSource {
        name: name.to_owned(),
        url: format!("http://{name}"),
        sdl: sdl.to_owned(),
    };
    let users = source("users", include_str!("../testdata/users.graphql"));
    let orders = source("orders", include_str!("../testdata/orders.graphql"));
    let sdl = compose(&[users, orders]).expect("it composes");
    let supergraph = Supergraph::parse(&sdl).expect("a supergraph");
    Engine::new(supergraph, config).expect("an engine")
}

/// The code and the message of the first error, with its place.
fn refused(query: &str) -> String {
    match shop().prepare(&Request::new(query)) {
        Ok(_) => "accepted".to_owned(),
        Err(rejection) => {
            let error = &rejection.errors()[0];
            let place = error.locations().first();
            let place = place.map_or(String::new(), |at| format!("{}:{} ", at.line, at.column));
            format!("{} {place}{}", error.code(), error.message())
        }
    }
}

#[test]
fn a_query_over_two_services_takes_one_fetch_of_each() {
    let query = "query ($id: ID!) { user(id: $id) { name orders { id total status } } }";
    let prepared = shop().prepare(&Request::new(query)).expect("it is planned");
    assert_eq!(prepared.fetches(), 2);
    let again = shop()
        .cached(&Request::new(query))
        .expect("it is remembered");
    assert!(Arc::ptr_eq(&prepared, &again));
}

#[test]
fn what_needs_no_subgraph_is_not_planned() {
    let prepared = shop().prepare(&Request::new("{ __typename ... { a: __typename } }"));
    assert_eq!(prepared.expect("it is accepted").plan().root, None);
}

#[test]
fn wrong_documents_are_refused_with_a_code_and_a_place() {
    let check = |query: &str, expected: &str| assert_eq!(refused(query), expected, "{query}");
    check(
        "{",
        "GRAPHQL_PARSE_FAILED 1:2 Syntax error: expected a name, found the end of the document",
    );
    check(
        "{ nothing }",
        "GRAPHQL_VALIDATION_FAILED 1:3 Cannot query field \"nothing\" on type \"Query\".",
    );
    check(
        "{ user(id: 1) { name { x } } }",
        "GRAPHQL_VALIDATION_FAILED 1:17 Field \"name\" must not have a selection since type \"String!\" has no subfields.",
    );
    check(
        "{ __schema { queryType { name } } }",
        "INTROSPECTION_DISABLED 1:3 introspection is switched off",
    );
    check(
        "{ ...F } fragment F on Query { __type(name: \"User\") { name } }",
        "INTROSPECTION_DISABLED 1:32 introspection is switched off",
    );
    check(
        "query A { user(id: 1) { name } } query B { user(id: 1) { name } }",
        "OPERATION_RESOLUTION_FAILURE Must provide operation name if query contains multiple operations.",
    );
    check(
        "{ user(id: 1) { __schema { description } } }",
        "GRAPHQL_VALIDATION_FAILED 1:17 Cannot query field \"__schema\" on type \"User\".",
    );
    check(
        "{ __typename { x } }",
        "GRAPHQL_VALIDATION_FAILED 1:3 Field \"__typename\" must not have a selection.",
    );
    check(
        "{ __nothing }",
        "GRAPHQL_VALIDATION_FAILED 1:3 Cannot query field \"__nothing\" on type \"Query\".",
    );
    check(
        "query ($a: ID! @x) { user(id: $a) { name } }",
        "GRAPHQL_VALIDATION_FAILED 1:16 Unknown directive \"x\".",
    );
    check(
        "mutation { x }",
        "GRAPHQL_VALIDATION_FAILED 1:10 The schema has no operations of this kind.",
    );
}

#[test]
fn the_deepest_document_that_can_be_allowed_fits_a_threads_stack() {
    let sdl = r#"schema @link(url: "https://specs.apollo.dev/join/v0.3") { query: Query }
        enum join__Graph { A @join__graph(name: "a", url: "") B @join__graph(name: "b", url: "") }
        type Query @join__type(graph: A) @join__type(graph: B) { t: T @join__field(graph: A) }
        type T @join__type(graph: A, key: "id") @join__type(graph: B, key: "id") {
          id: ID! t: T @join__field(graph: A) u: T @join__field(graph: B)
        }"#;
    let config = Config {
        limits: crate::Limits {
            depth: usize::MAX,
            ..crate::Limits::default()
        },
        planning: Planning {
            timeout_ms: 60_000,
            ..Planning::default()
        },
        ..Config::default()
    };
    let engine = Engine::new(Supergraph::parse(sdl).expect("a supergraph"), config);
    let engine = engine.expect("an engine");
    let prepare = move || {
        let nested = |levels: usize, on: &str| {
            let open = format!("{on} {{ ").repeat(levels);
            format!("{{ t {{ {open} id {} }} }}", "}".repeat(levels))
        };
        let same_graph = engine.prepare(&Request::new(nested(98, "t")));
        assert_eq!(same_graph.expect("it is planned").fetches(), 1);
        let deeper = engine.prepare(&Request::new(nested(99, "t")));
        let code = deeper.expect_err("it is too deep").errors()[0].code();
        assert_eq!(code, "MAX_DEPTH_LIMIT");
        let fragments = format!(
            "{{ {} t {{ id }} {} }}",
            "... { ".repeat(200),
            "} ".repeat(200)
        );
        let in_fragments = engine.prepare(&Request::new(fragments));
        assert_eq!(in_fragments.expect("it is planned").fetches(), 1);
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let ended = thread.spawn(prepare).expect("a thread").join();
    ended.expect("it neither panics nor overflows");
}

/// No subgraph answers.
struct Nobody;

impl Subgraphs for Nobody {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        panic!("{} is asked", call.subgraph);
    }
}

/// Answers by the subgraph's name, and remembers what it was asked.
struct Told {
    answers: [(&'static str, &'static str); 2],
    asked: std::sync::Mutex<Vec<String>>,
}

impl Subgraphs for Told {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        let body = String::from_utf8(call.body.to_vec()).expect("UTF-8");
        self.asked.lock().expect("no panic").push(body);
        let mut answers = self.answers.iter();
        let (_, answer) = answers
            .find(|(name, _)| *name == call.subgraph)
            .expect("a known one");
        Ok(Fetched {
            body: (*answer).into(),
        })
    }
}

#[tokio::test]
async fn whoever_calls_something_else_by_the_name_of_a_key_is_not_asked_for_by_it() {
    let request =
        Request::new("{ user(id: 1) { id: name __typename: email orders { id: total } } }");
    let engine = shop();
    let prepared = engine.prepare(&request).expect("it is accepted");
    let variables = engine.variables(&prepared, &request).expect("no variables");
    let subgraphs = Told {
        answers: [
            (
                "users",
                r#"{"data":{"user":{"__typename":"User","_ieum_alias_id":"2","_ieum_alias___typename":"Order","id":"1"}}}"#,
            ),
            (
                "orders",
                r#"{"data":{"_entities":[{"orders":[]}]},"errors":[{"message":"no","path":["_entities",0,"orders",0,"_ieum_alias_id"]}]}"#,
            ),
        ],
        asked: std::sync::Mutex::default(),
    };
    let answer = engine.execute(&prepared, &variables, &subgraphs).await;
    let asked = subgraphs.asked.into_inner().expect("no panic");
    let representation = r#""representations":[{"__typename":"User","id":"1"}]"#;
    assert!(asked[1].contains(representation), "{asked:?}");
    let body = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let data = r#"{"data":{"user":{"id":"2","__typename":"Order","orders":"#;
    assert!(body.starts_with(data), "{body}");
    assert!(
        body.contains(r#""path":["user","orders",0,"id"]"#),
        "{body}"
    );
    assert!(!body.contains("_ieum_alias_"), "{body}");
}

fn with(config: Config) -> Engine {
    let sdl = include_str!("../testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    Engine::new(supergraph, config).expect("an engine")
}

async fn answer(engine: &Engine, query: &str) -> String {
    let request = Request::new(query);
    let prepared = engine.prepare(&request).expect("it is accepted");
    let variables = engine.variables(&prepared, &request).expect("no variables");
    let answer = engine.execute(&prepared, &variables, &Nobody).await;
    String::from_utf8(answer.body.to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn meta_fields_are_answered_in_their_order_and_without_subgraphs() {
    let engine = with(Config {
        introspection: true,
        ..Config::default()
    });
    let query = "{ b: __typename s: __schema { mutationType { name } queryType { name } } a: __type(name: \"Nope\") { name } }";
    assert_eq!(
        answer(&engine, query).await,
        r#"{"data":{"b":"Query","s":{"mutationType":{"name":"Mutation"},"queryType":{"name":"Query"}},"a":null}}"#
    );
    let circle = format!(
        "{{ __type(name: \"Item\") {{ {} name {} }} }}",
        "possibleTypes { name kind interfaces { name kind ".repeat(14),
        "} }".repeat(14)
    );
    let body = answer(&engine, &circle).await;
    assert!(
        body.starts_with("{\"data\":null,\"errors\":[{\"message\":"),
        "{body}"
    );
}

#[test]
fn the_cache_is_bounded_by_plans_and_by_bytes() {
    let remembered = |cached_plans: usize, cached_bytes: usize, documents: usize| {
        let engine = with(Config {
            planning: Planning {
                cached_plans,
                cached_bytes,
                ..Planning::default()
            },
            ..Config::default()
        });
        for n in 0..documents {
            let query = format!("{{ kinds }} # {n} {}", "x".repeat(1_000));
            engine
                .prepare(&Request::new(query))
                .expect("it is accepted");
        }
        engine.cached_plans()
    };
    assert_eq!(remembered(100, 1 << 20, 10), 10);
    assert!((1..=5).contains(&remembered(5, 1 << 20, 50)), "by plans");
    assert!(
        (1..=10).contains(&remembered(1_000, 10_240, 50)),
        "by bytes"
    );
}

#[test]
fn a_plan_weighs_what_its_document_expands_to() {
    let engine = shop_with(Config {
        limits: crate::Limits {
            aliases: 1_000,
            ..crate::Limits::default()
        },
        planning: Planning {
            cached_bytes: 1 << 20,
            ..Planning::default()
        },
        ..Config::default()
    });
    // Each fragment spreads the one below it twice: a short text and hundreds of fields.
    let fragments = (1..=5).map(|n| {
        let below = n - 1;
        format!(
            "fragment F{n} on User {{ a: orders(status: \"a\") {{ buyer {{ ...F{below} }} }} \
             b: orders(status: \"b\") {{ buyer {{ ...F{below} }} }} }}"
        )
    });
    let fragments: String = fragments.collect();
    for n in 0..24 {
        let query = format!(
            "query Q{n} {{ user(id: 1) {{ ...F5 }} }} fragment F0 on User {{ id }} {fragments}"
        );
        let prepared = engine.prepare(&Request::new(query));
        prepared.expect("it is accepted");
    }
    assert!(
        (1..=9).contains(&engine.cached_plans()),
        "{}",
        engine.cached_plans()
    );
}

#[test]
fn one_document_has_a_plan_for_each_operation_in_it() {
    let engine = with(Config::default());
    let document = "query A { kinds } query B { latestReviews { text } }";
    for (name, subgraph) in [("A", "inventory"), ("B", "reviews")] {
        let request = Request {
            operation_name: Some(name.to_owned()),
            ..Request::new(document)
        };
        let prepared = engine.prepare(&request).expect("it is accepted");
        assert_eq!(prepared.name(), Some(name));
        let Some(crate::plan::Node::Fetch(fetch)) = &prepared.plan().root else {
            panic!("{:?}", prepared.plan());
        };
        assert_eq!(fetch.subgraph, subgraph);
    }
    assert_eq!(engine.cached_plans(), 2);
}

/// Words and marks of GraphQL and of the schema, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "$",
        "!",
        "=",
        "@",
        "...",
        "query",
        "mutation",
        "fragment",
        "on",
        "User",
        "Query",
        "user",
        "users",
        "id",
        "name",
        "orders",
        "__typename",
        "__schema",
        "skip",
        "include",
        "if",
        "true",
        "null",
        "F",
        "a",
        "$a",
        "ID",
        "1",
        "-1.5e3",
        "\"x\"",
        "\"\"\"\\u3000 y\"\"\"",
        "\"\\uD83D\"",
        "#\n",
        "\u{3000}",
        "\u{0}",
        "\"",
    ]);
    proptest::collection::vec(words, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![soup(), ".{0,80}"]) {
        let known = shop();
        let _ = known.0.make(&Request::new(text.clone()));
        let _ = known.0.make(&Request::new(format!("query ($a: ID!) {{ user(id: $a) {{ {text} }} }}")));
    }
}
