//! Supergraphs that are accepted, and what is said of those that are not.

use super::*;

fn source(name: &str, sdl: &str) -> SubgraphSource {
    SubgraphSource {
        name: name.to_owned(),
        url: format!("http://{name}"),
        sdl: sdl.to_owned(),
    }
}

fn shop() -> Vec<SubgraphSource> {
    vec![
        source(
            "users",
            r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
            type User @key(fields: "id") { id: ID! name: String! }
            type Query { user(id: ID!): User }"#,
        ),
        source(
            "orders",
            r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
            type User @key(fields: "id") { id: ID! orders: [Order!]! }
            type Order @key(fields: "id") { id: ID! total: Int! status: String! }
            type Query { order(id: ID!): Order }"#,
        ),
    ]
}

#[test]
fn what_is_composed_can_be_planned() {
    let sdl = compose(&shop()).expect("it composes");
    let supergraph = Supergraph::parse(&sdl).expect("it is a supergraph");
    eprintln!("{sdl}\n{}", supergraph.api().sdl());
    let planner = crate::hive::HivePlanner::new(&supergraph).expect("the planner takes it");
    let parsed = crate::operation::parser::parse(
        "query ($id: ID!) { user(id: $id) { name orders { id total status } } }",
    )
    .expect("parses");
    let budget = crate::planner::Budget {
        time: std::time::Duration::from_secs(1),
        fields: 1000,
    };
    let plan = crate::planner::Planner::plan(&planner, &parsed.document, budget);
    eprintln!("{plan:#?}");
    plan.expect("there is a plan");
}
