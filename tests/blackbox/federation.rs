//! Federated graphs of services that others' libraries serve and compose, and random operations on them.
//!
//! The services stand in `tests/clients/federation/world.mjs`; they need entities with several keys,
//! `@requires`, `@provides`, interfaces, an interface object, unions, shared and overridden fields, nested
//! lists and nulls. What is right is what the same resolvers answer as one service, without federation.
//! (Apollo Gateway answers 49 of 400 such operations otherwise.)

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Request, TempFolder, free_port};
use serde_json::{Value, json};

use crate::packages;
use crate::platform::Platform;

/// How long a program may take to start, or to compare.
const LONG: Duration = Duration::from_secs(120);

/// The services of the world and their supergraph.
struct World {
    #[expect(dead_code, reason = "runs until it is dropped")]
    process: Process,
    address: String,
    supergraph: String,
}

impl World {
    fn start(folder: &TempFolder) -> Result<Self> {
        let port = free_port()?;
        let file = folder.path().join("supergraph.graphql");
        let process = serve(program("serve.mjs")?.arg(port.to_string()).arg(&file))?;
        Ok(Self {
            process,
            address: format!("127.0.0.1:{port}"),
            supergraph: std::fs::read_to_string(file)?,
        })
    }

    /// How often each service was asked since the last time.
    fn fetches(&self) -> Result<Value> {
        Request::new("GET", "/fetches")
            .send(&self.address)?
            .expect(200)
    }

    /// The subgraphs as a route names them, for a gateway that composes them itself.
    fn subgraphs(&self) -> String {
        let names = ["catalog", "people", "stock", "reviews", "ratings", "ledger"];
        let subgraph = |name| {
            let address = &self.address;
            format!("{name} = {{ url = \"http://{address}\", path = \"/{name}\" }}")
        };
        names.map(subgraph).join(", ")
    }
}

#[test]
fn random_operations_are_answered_as_by_one_service() -> Result<()> {
    let folder = TempFolder::new()?;
    let world = World::start(&folder)?;
    let monolith = Monolith::start()?;
    let given = "supergraph = \"supergraph.graphql\"".to_owned();
    let composed = format!("subgraphs = {{ {} }}", world.subgraphs());
    for (seed, graph) in [(1, given), (3, composed)] {
        let ours = gateway(&world, &graph)?;
        monolith.agrees(&ours, 300, seed)?;
    }
    Ok(())
}

#[test]
fn each_service_is_asked_once_per_level() -> Result<()> {
    let folder = TempFolder::new()?;
    let world = World::start(&folder)?;
    let ours = gateway(&world, "supergraph = \"supergraph.graphql\"")?;
    let cases = [
        ("{ products { title } }", json!({ "catalog": 1 })),
        (
            "{ authors { name works { title } reviews { stars } } }",
            json!({ "people": 1, "catalog": 1, "reviews": 1 }),
        ),
        // Books and films of one list are entities of one call.
        (
            "{ products { ... on Book { reviews { stars } } ... on Film { reviews { text } } } }",
            json!({ "catalog": 1, "reviews": 1 }),
        ),
        // What one service requires of another comes before it.
        (
            "{ latest(first: 9) { of { ... on Book { postage } } } }",
            json!({ "reviews": 1, "catalog": 1, "stock": 1 }),
        ),
        // Each level of a chain is one call more.
        (
            "{ author(id: \"a1\") { works { ... on Book { author { born } } } } }",
            json!({ "people": 2, "catalog": 1 }),
        ),
        ("{ __typename }", json!({})),
    ];
    for (query, expected) in cases {
        // Once, so that schemas and plans are there.
        ask(&ours, query)?;
        world.fetches()?;
        let answer = ask(&ours, query)?;
        assert_eq!(answer.get("errors"), None, "{query}: {answer}");
        assert_eq!(world.fetches()?, expected, "{query}");
    }
    Ok(())
}

/// The world as one service.
struct Monolith {
    #[expect(dead_code, reason = "runs until it is dropped")]
    process: Process,
    address: String,
}

impl Monolith {
    fn start() -> Result<Self> {
        let port = free_port()?;
        Ok(Self {
            process: serve(program("monolith.mjs")?.arg(port.to_string()))?,
            address: format!("127.0.0.1:{port}"),
        })
    }

    /// Asks both the same operations, drawn by `seed`.
    fn agrees(&self, ours: &Platform, count: u32, seed: u32) -> Result<()> {
        let mut compare = program("compare.mjs")?;
        compare
            .arg(format!("http://{}/", self.address))
            .arg(format!("http://{}/graphql", ours.gateway))
            .args([count.to_string(), seed.to_string()]);
        let mut process = Process::start(&mut compare)?;
        let status = process.wait(LONG)?;
        ensure!(status.success(), "{}", process.output());
        let report: Value = serde_json::from_str(&process.last_line())?;
        assert_eq!(report["compared"], count);
        assert_ne!(report["withErrors"], 0, "the services fail now and then");
        assert_eq!(report["different"], 0, "{report:#}");
        Ok(())
    }
}

/// A platform with the graph at `/graphql`; ready once it answers.
fn gateway(world: &World, graph: &str) -> Result<Platform> {
    let route = format!(
        "[[gateway.routes]]\nname = \"graph\"\npath = \"/graphql\"\nauth = \"none\"\ngraphql = {{ {graph}, limits = {{ aliases = 500 }} }}\n"
    );
    let platform = Platform::start_with(&route, &[("supergraph.graphql", &world.supergraph)])?;
    ieum_testkit::eventually("the graph is composed", LONG, || {
        let answer = ask(&platform, "{ __typename }").ok()?;
        (answer["data"]["__typename"] == "Query").then_some(())
    })?;
    Ok(platform)
}

fn ask(platform: &Platform, query: &str) -> Result<Value> {
    let request = Request::new("POST", "/graphql").json(&json!({ "query": query }));
    platform.send(&request)?.expect(200)
}

fn program(name: &str) -> Result<Command> {
    packages::node("federation", name)
}

/// Starts a program that says when it serves.
fn serve(command: &mut Command) -> Result<Process> {
    let process = Process::start(command)?;
    let serving = |line: &str| (line == "serving").then_some(());
    process
        .wait_for(LONG, serving)
        .with_context(|| process.output())?;
    Ok(process)
}
