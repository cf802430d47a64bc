//! What an execution costs, without the network: printed, not judged.
//!
//! `cargo test --profile tune -p ieum-graphql -- --ignored --nocapture cost`

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::support::{entities, fetch, query, shop};
use crate::execute::{Config, Executable, Types, Variables, execute};
use crate::plan::{Node, Plan};
use crate::transport::{Call, FetchError, Fetched, Subgraphs};

/// Subgraphs that answer at once, always the same.
struct Always(HashMap<&'static str, Bytes>);

impl Subgraphs for Always {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        let body = self.0[call.subgraph].clone();
        Ok(Fetched { body })
    }
}

/// A user with ten orders of an id, a total and two products, the names of the products from a third.
fn three_levels() -> (Plan, Always) {
    let product = |n: u32| json!({"__typename": "Product", "upc": format!("p-{}", n % 7)});
    let orders: Vec<_> = (0..10)
        .map(|n| json!({"id": format!("o-{n}"), "total": 12.5, "items": [product(n), product(n + 1)]}))
        .collect();
    let names: Vec<_> = (0..7)
        .map(|n| json!({"name": format!("Product {n}"), "price": 9.99}))
        .collect();
    let body = |value: serde_json::Value| Bytes::from(value.to_string());
    let answers = [
        (
            "users",
            body(json!({"data": {"user": {"__typename": "User", "id": "1", "name": "Ada"}}})),
        ),
        (
            "orders",
            body(json!({"data": {"_entities": [{"orders": orders}]}})),
        ),
        ("products", body(json!({"data": {"_entities": names}}))),
    ];
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user"),
            entities("orders", "user", "...User{__typename id}", "orders"),
            entities(
                "products",
                "user.orders.@.items.@",
                "...Product{__typename upc}",
                "name price",
            ),
        ]),
        "user { id name orders { id total items { upc name price } } }",
    );
    (plan, Always(answers.into()))
}

/// A user with two orders: what the project's benchmark asks for.
fn two_levels() -> (Plan, Always) {
    let answers = [
        (
            "users",
            Bytes::from_static(
                br#"{"data":{"user":{"__typename":"User","id":"1","name":"Ada Lovelace"}}}"#,
            ),
        ),
        (
            "orders",
            Bytes::from_static(
                br#"{"data":{"_entities":[{"orders":[{"id":"o-1","total":12.5},{"id":"o-2","total":7}]}]}}"#,
            ),
        ),
    ];
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user"),
            entities("orders", "user", "...User{__typename id}", "orders"),
        ]),
        "user { name orders { id total } }",
    );
    (plan, Always(answers.into()))
}

/// One fetch of a thousand users.
fn one_long_list() -> (Plan, Always) {
    let users: Vec<_> = (0..1_000)
        .map(|n| {
            json!({"id": n.to_string(), "name": format!("User {n}"), "email": format!("u{n}@example.org"),
                "age": n % 90, "active": true, "role": "GUEST"})
        })
        .collect();
    let body = Bytes::from(json!({"data": {"users": users}}).to_string());
    let plan = query(
        fetch("users", "users"),
        "users { id name email age active role }",
    );
    (plan, Always([("users", body)].into()))
}

async fn measure(name: &str, types: &Types, (plan, subgraphs): (Plan, Always), rounds: u32) {
    let (variables, config) = (Variables::new(), Config::default());
    let start = Instant::now();
    let plan = Executable::compile(&plan, types).expect("a plan");
    let compiled = start.elapsed();
    let mut bytes = 0;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            let answer = execute(&plan, &variables, None, &subgraphs, &config).await;
            assert_eq!(answer.errors, 0);
            bytes = answer.body.len();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{name}: {best:.0} ns for {bytes} bytes of answer (compiled in {compiled:?})");
}

#[tokio::test]
#[ignore = "prints figures, which mean something only when it is optimised"]
async fn cost() {
    let types = shop();
    measure("two levels", &types, two_levels(), 2_000).await;
    measure("three levels", &types, three_levels(), 500).await;
    measure("one long list", &types, one_long_list(), 20).await;
    compare(&one_long_list().1.0["users"]);
}

/// What it would cost only to read and write the long list with an owned tree.
fn compare(body: &Bytes) {
    let mut best = f64::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let written = serde_json::to_vec(&value).expect("JSON");
        best = best.min(start.elapsed().as_nanos() as f64);
        assert!(!written.is_empty());
    }
    println!("one long list, read and written by serde_json: {best:.0} ns");
}
