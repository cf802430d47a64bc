//! One graph over several services.

mod answers;
mod keeper;
mod settings;
mod shop;

use ieum_testkit::{Reply, Request};
use serde_json::{Value, json};

use crate::support::{World, gateway, wait_for};
use shop::Subgraph;

/// A gateway with the graph of both subgraphs at `/graphql`, once it is composed.
fn graph(users: &Subgraph, orders: &Subgraph, extra: &str) -> World {
    let world = gateway(&settings(users, orders, extra));
    wait_until_composed(&world);
    world
}

fn settings(users: &Subgraph, orders: &Subgraph, extra: &str) -> String {
    let (users, orders) = (users.address(), orders.address());
    format!(
        r#"
        [[gateway.routes]]
        name = "graph"
        path = "/graphql"
        auth = "none"
        {extra}
        [gateway.routes.graphql]
        refresh = "1s"
        [gateway.routes.graphql.subgraphs]
        users = {{ url = "http://{users}" }}
        orders = {{ url = "http://{orders}/base", path = "/api/graphql" }}
        "#
    )
}

fn wait_until_composed(world: &World) {
    wait_for("the graph is composed", || is_ready(world));
}

fn is_ready(world: &World) -> bool {
    let routes = world.handle.routes();
    routes
        .iter()
        .any(|route| route.graphql.as_ref().is_some_and(|graph| graph.ready))
}

fn post(body: &Value) -> Request {
    Request::new("POST", "/graphql").json(body)
}

fn ask(world: &World, query: &str) -> Reply {
    world.send(&post(&json!({ "query": query })))
}
