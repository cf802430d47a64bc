//! What preparing a request costs: `cargo bench -p ieum-graphql --bench prepare`.
//!
//! *New* is a document that was not seen before: counted, parsed, validated, planned and compiled.
//! *Known* is one whose plan is remembered, with its variables coerced. Each figure is the best of some
//! rounds.

use std::error::Error;
use std::time::Duration;

use ieum_graphql::{Config, Engine, Request, Supergraph};
use serde_json::value::RawValue;
use tokio::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let sdl = include_str!("../src/testdata/catalog.supergraph.graphql");
    let start = Instant::now();
    let supergraph = Supergraph::parse(sdl)?;
    println!(
        "{:>12.2?}  reading a supergraph of 5 services",
        start.elapsed()
    );
    let start = Instant::now();
    let engine = Engine::new(supergraph, Config::default())?;
    println!("{:>12.2?}  building its engine", start.elapsed());
    measure(
        &engine,
        "one service",
        "query ($id: ID!) { product(id: $id) { id title kind } }",
    )?;
    measure(
        &engine,
        "two services",
        "query ($id: ID!) { product(id: $id) { title stock shippingCost(zip: \"1\") } }",
    )?;
    measure(
        &engine,
        "five services",
        "query ($id: ID!) { product(id: $id) { ...P reviews { text author { name } } } }
         fragment P on Product { title stock price discount maker { name country } }",
    )
}

fn measure(engine: &Engine, name: &str, query: &str) -> Result<(), Box<dyn Error>> {
    let request = |query: String| -> Result<Request, Box<dyn Error>> {
        Ok(Request {
            query,
            variables: Some(RawValue::from_string("{\"id\":\"1\"}".to_owned())?),
            ..Request::default()
        })
    };
    let mut new = Duration::MAX;
    for round in 0..NEW_ROUNDS {
        let request = request(format!("{query} # {round}"))?;
        let start = Instant::now();
        let prepared = engine.prepare(&request)?;
        new = new.min(start.elapsed());
        drop(prepared);
    }
    let request = request(query.to_owned())?;
    engine.prepare(&request)?;
    let mut known = Duration::MAX;
    for _ in 0..KNOWN_ROUNDS {
        let start = Instant::now();
        for _ in 0..PER_ROUND {
            let prepared = engine.cached(&request).ok_or("it is not remembered")?;
            engine.variables(&prepared, &request)?;
        }
        known = known.min(start.elapsed() / PER_ROUND);
    }
    println!("{new:>12.2?}  {name}, new");
    println!("{known:>12.2?}  {name}, known");
    Ok(())
}

const NEW_ROUNDS: u32 = 200;
const KNOWN_ROUNDS: u32 = 50;
const PER_ROUND: u32 = 1_000;
