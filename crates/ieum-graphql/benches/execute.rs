//! What an execution costs without the network: `cargo bench -p ieum-graphql`.
//!
//! Real plans over subgraphs that answer at once, always the same. Each figure is the best of some
//! rounds. The last line tells what an owned tree would cost for the long list, before any shape, check
//! or error: `serde_json` reading and writing it.

use std::collections::HashMap;
use std::error::Error;

use bytes::Bytes;
use ieum_graphql::supergraph::{SubgraphSource, compose};
use ieum_graphql::transport::{Call, FetchError, FetchErrorKind, Fetched};
use ieum_graphql::{Config, Engine, Request, Subgraphs, Supergraph, Variables};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Subgraphs that answer at once, always the same.
struct Always(HashMap<&'static str, Bytes>);

impl Subgraphs for Always {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        match self.0.get(call.subgraph) {
            Some(body) => Ok(Fetched { body: body.clone() }),
            None => Err(FetchError::new(
                FetchErrorKind::Unreachable,
                "no such subgraph",
            )),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let engine = engine()?;
    let two_levels = [("users", user()), ("orders", orders(2, &["id", "total"]))];
    let query = "{ user { name orders { id total } } }";
    measure(&engine, query, &two_levels, 20_000).await?;

    let three_levels = [
        ("users", user()),
        ("orders", orders(10, &["id", "total", "items"])),
        ("products", products(7)),
    ];
    let query = "{ user { name orders { id total items { name price } } } }";
    measure(&engine, query, &three_levels, 5_000).await?;

    let long_list = [("users", users(1_000))];
    let query = "{ users { id name email age active role } }";
    measure(&engine, query, &long_list, 200).await?;
    compare(&long_list[0].1)
}

async fn measure(
    engine: &Engine,
    query: &str,
    answers: &[(&'static str, Value)],
    rounds: u32,
) -> Result<(), Box<dyn Error>> {
    let body = |(name, data): &(&'static str, Value)| {
        (*name, Bytes::from(json!({"data": data}).to_string()))
    };
    let subgraphs = Always(answers.iter().map(body).collect());
    let prepared = engine
        .prepare(&Request::new(query))
        .map_err(|_| "no plan")?;
    let (mut best, mut bytes) = (f64::MAX, 0);
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..rounds {
            let answer = engine
                .execute(&prepared, &Variables::new(), &subgraphs)
                .await;
            if answer.errors > 0 {
                return Err(String::from_utf8_lossy(&answer.body).into());
            }
            bytes = answer.body.len();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{best:>9.0} ns for {bytes} bytes: {query}");
    Ok(())
}

fn compare(data: &Value) -> Result<(), Box<dyn Error>> {
    let body = data.to_string();
    let mut best = f64::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        let value: Value = serde_json::from_str(&body)?;
        let written = serde_json::to_vec(&value)?;
        best = best.min(start.elapsed().as_nanos() as f64);
        std::hint::black_box(written);
    }
    println!("{best:>9.0} ns for the same through serde_json");
    Ok(())
}

fn engine() -> Result<Engine, Box<dyn Error>> {
    let source = |name: &str, sdl: &str| SubgraphSource {
        name: name.to_owned(),
        url: format!("http://{name}"),
        sdl: format!("{LINK}{sdl}"),
    };
    let sdl = compose(&[
        source(
            "users",
            "type Query { user: User users: [User!] }
             type User @key(fields: \"id\") {
                id: ID! name: String email: String! age: Int active: Boolean role: Role }
             enum Role { ADMIN GUEST }",
        ),
        source(
            "orders",
            "type User @key(fields: \"id\") { id: ID! orders: [Order!] }
             type Order { id: ID! total: Float! items: [Product] }
             type Product @key(fields: \"upc\") { upc: ID! }",
        ),
        source(
            "products",
            "type Product @key(fields: \"upc\") { upc: ID! name: String price: Float }",
        ),
    ])?;
    Ok(Engine::new(Supergraph::parse(&sdl)?, Config::default())?)
}

fn user() -> Value {
    json!({"user": {"__typename": "User", "id": "1", "name": "Ada Lovelace"}})
}

/// The orders of one user, each with some of an id, a total, and two of seven products.
fn orders(count: u32, fields: &[&str]) -> Value {
    let product = |n: u32| json!({"__typename": "Product", "upc": format!("p-{}", n % 7)});
    let order = |n: u32| {
        let whole =
            json!({"id": format!("o-{n}"), "total": 12.5, "items": [product(n), product(n + 1)]});
        let fields = fields
            .iter()
            .map(|name| ((*name).to_owned(), whole[*name].clone()));
        fields.collect::<Value>()
    };
    let orders: Vec<Value> = (0..count).map(order).collect();
    json!({"_entities": [{"orders": orders}]})
}

fn products(count: u32) -> Value {
    let product = |n: u32| json!({"name": format!("Product {n}"), "price": 9.99});
    let products: Vec<Value> = (0..count).map(product).collect();
    json!({"_entities": products})
}

fn users(count: u32) -> Value {
    let user = |n: u32| {
        json!({"id": n.to_string(), "name": format!("User {n}"), "email": format!("u{n}@example.org"),
            "age": n % 90, "active": true, "role": "GUEST"})
    };
    let users: Vec<Value> = (0..count).map(user).collect();
    json!({"users": users})
}

const LINK: &str = "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.3\", \
    import: [\"@key\", \"@shareable\"])\n";
