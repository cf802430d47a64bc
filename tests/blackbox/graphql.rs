//! GraphQL through the gateway, as clients of others see it, and as those who mean harm do.
//!
//! The audit is npm `graphql-http`'s own (`tests/clients/graphql/`). The bombs are measured in the
//! process that takes them: how long until the refusal, and how much its memory grew.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use ieum_testkit::{Process, Reply, Request, Stub, eventually};
use serde_json::{Value, json};

use crate::packages;
use crate::platform::{Platform, SOON};

/// How long the audit may take.
const LONG: Duration = Duration::from_secs(60);

/// How long a refusal may take.
const PROMPT: Duration = Duration::from_millis(50);

/// How much the memory may grow by one, in KiB.
const MOST_GROWTH: u64 = 16 << 10;

/// New operations in a flood.
const NEW: usize = 500;

const USERS: &str = r#"
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type Query { user(id: ID!): User users(ids: [ID!]): [User!]! }
    type User @key(fields: "id") { id: ID! name: String! friends: [User!] }
"#;

const ORDERS: &str = r#"
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type User @key(fields: "id") { id: ID! orders: [Order!] }
    type Order { id: ID! total: Int! }
"#;

/// A platform with a graph over two subgraphs, found by their names in the registry.
struct World {
    platform: Platform,
    users: Stub,
    orders: Stub,
}

impl World {
    fn start(graphql: &str) -> Result<Self> {
        let route = format!(
            "[[gateway.routes]]\nname = \"graph\"\npath = \"/graphql\"\nauth = \"none\"\ngraphql = {{ subgraphs = [\"users\", \"orders\"]{graphql} }}\n"
        );
        let world = Self {
            platform: Platform::start(&route)?,
            users: users()?,
            orders: orders()?,
        };
        world
            .platform
            .register("users", "users-1", &world.users.address())?;
        world
            .platform
            .register("orders", "orders-1", &world.orders.address())?;
        eventually("the graph is composed", SOON, || {
            let answer = world.ask("{ __typename }").ok()?;
            (answer.status == 200).then_some(())
        })?;
        Ok(world)
    }

    fn ask(&self, query: &str) -> Result<Reply> {
        let body = json!({ "query": query });
        self.platform
            .send(&Request::new("POST", "/graphql").json(&body))
    }

    /// The median time of an exchange on a connection of its own, with the growth of the process.
    fn measure(&self, request: &[u8]) -> Result<Measured> {
        let mut times = Vec::new();
        let mut answer = String::new();
        let memory = Memory::of(&self.platform.process)?;
        for _ in 0..5 {
            let mut stream = TcpStream::connect(&self.platform.gateway)?;
            stream.set_read_timeout(Some(SOON))?;
            let begun = now();
            // A refusal may come, and the connection end, before all of it was sent.
            let _ = stream.write_all(request);
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            times.push(begun.elapsed());
            answer = String::from_utf8_lossy(&bytes).into_owned();
        }
        times.sort();
        Ok(Measured {
            took: times[times.len() / 2],
            growth: memory.growth()?,
            answer,
        })
    }
}

struct Measured {
    took: Duration,
    growth: u64,
    answer: String,
}

/// The memory of a process, from now on.
struct Memory {
    id: u32,
    before: u64,
}

impl Memory {
    fn of(process: &Process) -> Result<Self> {
        let id = process.id();
        // The peak from here on, not that of the start.
        fs::write(format!("/proc/{id}/clear_refs"), "5")?;
        let before = field(id, "VmRSS")?;
        Ok(Self { id, before })
    }

    /// KiB, at the peak.
    fn growth(&self) -> Result<u64> {
        Ok(field(self.id, "VmHWM")?.saturating_sub(self.before))
    }
}

fn field(id: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(value.context("a number")?.parse()?)
}

/// One user, or as many as somebody could wish for where all are asked for.
fn users() -> Result<Stub> {
    let user = |id: u32| json!({ "__typename": "User", "id": id.to_string(), "name": "Kim" });
    let one = data(&json!({ "user": user(0) }));
    let all = data(&json!({ "users": (0..10_000).map(user).collect::<Vec<Value>>() }));
    subgraph(USERS, move |query| {
        if query.contains("users") {
            all.clone()
        } else {
            one.clone()
        }
    })
}

/// The orders of one user.
fn orders() -> Result<Stub> {
    let order = json!({ "id": "o-1", "total": 100 });
    let one = data(&json!({ "_entities": [{ "__typename": "User", "orders": [order] }] }));
    subgraph(ORDERS, move |_| one.clone())
}

/// A subgraph that answers its schema, and everything else with `answer` of the operation's text. The
/// answers are made before, so that making them is not measured.
fn subgraph(sdl: &str, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Result<Stub> {
    let schema = data(&json!({ "_service": { "sdl": sdl } }));
    Stub::start(move |request| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let query = asked["query"].as_str().unwrap_or_default();
        if query.contains("_service") {
            return schema.clone();
        }
        answer(query)
    })
}

fn data(data: &Value) -> Reply {
    Reply::json_of(200, &json!({ "data": data }))
}

#[test]
fn the_audit_of_graphql_over_http_finds_every_requirement_met() -> Result<()> {
    let world = World::start(", introspection = true")?;
    let url = format!("http://{}/graphql", world.platform.gateway);
    let mut client = Process::start(packages::node("graphql", "audit.mjs")?.arg(url))?;
    let status = client.wait(LONG)?;
    ensure!(status.success(), "{}", client.output());
    let report: Value = serde_json::from_str(&client.last_line())?;
    println!("graphql-http's audit: {}", report["levels"]);
    let levels: BTreeMap<String, Value> = serde_json::from_value(report["levels"].clone())?;
    for level in ["MUST", "SHOULD"] {
        let level = levels.get(level).context("requirements of this level")?;
        assert!(level["met"].as_u64() > Some(10), "{report:#}");
        assert_eq!(level["unmet"], 0, "{report:#}");
    }
    Ok(())
}

#[test]
fn a_query_over_two_services_is_answered_and_shown_as_one_trace() -> Result<()> {
    let world = World::start("")?;
    let answer = world
        .ask("{ user(id: \"0\") { name orders { id total } } }")?
        .expect(200)?;
    let expected = json!({ "user": { "name": "Kim", "orders": [{ "id": "o-1", "total": 100 }] } });
    assert_eq!(answer, json!({ "data": expected }));
    let asked = world.orders.requests();
    let last = asked.last().context("a fetch")?;
    let trace = last.get("traceparent").context("a trace")?[3..35].to_owned();
    eventually("the trace is there", SOON, || {
        let trace = world
            .platform
            .get(&format!("/api/v1/traces/{trace}"))
            .ok()?;
        let text = trace.to_string();
        let names = ["graphql users", "graphql orders"];
        names.iter().all(|name| text.contains(name)).then_some(())
    })
}

#[test]
fn bombs_are_refused_at_once_and_take_no_memory() -> Result<()> {
    let world = World::start("")?;
    let deep = format!(
        "{{ user(id: 1) {}{} }}",
        "{ friends ".repeat(2_000),
        "}".repeat(2_000)
    );
    let aliases: String = (0..4_000).map(|n| format!("a{n}: name ")).collect();
    let fields = "name ".repeat(20_000);
    let ids: Vec<String> = (0..10_000).map(|id: u32| id.to_string()).collect();
    let many = json!({ "query": "query($ids: [ID!]) { users(ids: $ids) { name } }", "variables": { "ids": ids } });
    let query = |text: &str| json!({ "query": text }).to_string();
    let json = "Content-Type: application/json\r\n";
    let cases = [
        ("depth", json, query(&deep), "MAX_DEPTH_LIMIT"),
        (
            "aliases",
            json,
            query(&format!("{{ user(id: 1) {{ {aliases} }} }}")),
            "MAX_ALIASES_LIMIT",
        ),
        (
            "tokens",
            json,
            query(&format!("{{ user(id: 1) {{ {fields} }} }}")),
            "TOO_MANY_TOKENS",
        ),
        ("a mebibyte of {", json, "{".repeat(1 << 20), "400"),
        (
            "a query of {",
            json,
            query(&"{".repeat(1_000_000)),
            "DOCUMENT_TOO_LARGE",
        ),
        ("a list of 10,000", json, many.to_string(), "MAX_LIST_LIMIT"),
        (
            "two mebibytes",
            json,
            query(&" ".repeat(2 << 20)),
            "IEUM-1003",
        ),
        (
            "a gzip bomb",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            "\u{1f}".repeat(1 << 20),
            "IEUM-1005",
        ),
    ];
    for (name, headers, body, expected) in cases {
        let length = body.len();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        let measured = world.measure(request.as_bytes())?;
        hold(name, &measured, expected);
    }
    assert_eq!(
        world.ask("{ user(id: \"0\") { name } }")?.status,
        200,
        "it serves on"
    );
    Ok(())
}

#[test]
fn ten_thousand_entities_are_not_asked_for() -> Result<()> {
    let world = World::start("")?;
    let body = json!({ "query": "{ users { name orders { id } } }" }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let before = fetches(&world.orders);
    let measured = world.measure(request.as_bytes())?;
    hold("10,000 entities", &measured, "TOO_MANY_ENTITIES");
    assert_eq!(fetches(&world.orders), before, "no subgraph sees them");
    Ok(())
}

#[test]
fn a_flood_of_new_operations_does_not_hold_up_other_routes() -> Result<()> {
    let world = World::start("")?;
    let planned = AtomicUsize::new(0);
    let mut times = std::thread::scope(|scope| -> Result<_> {
        let flood = |_| {
            let (world, planned) = (&world, &planned);
            move || -> Result<()> {
                loop {
                    let number = planned.fetch_add(1, Ordering::AcqRel);
                    if number >= NEW {
                        return Ok(());
                    }
                    // No two are the same: each has to be planned.
                    let reply = world.ask(&format!(
                        "{{ user(id: {number}) {{ name orders {{ id }} }} }}"
                    ))?;
                    ensure!(matches!(reply.status, 200 | 503), "{}", reply.text());
                }
            }
        };
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(flood(client))).collect();
        let mut times = Vec::new();
        while planned.load(Ordering::Acquire) < NEW {
            let begun = now();
            let reply = world.platform.send(&Request::new("GET", "/nowhere"));
            times.push(begun.elapsed());
            assert_eq!(reply?.status, 404);
        }
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(times)
    })?;
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "during {NEW} new operations the others took {median:?} in the median, {worst:?} at most"
    );
    assert!(times.len() > 20, "no flood");
    assert!(median <= PROMPT, "{median:?}");
    Ok(())
}

/// The operations that a subgraph was sent, without questions for its schema.
fn fetches(subgraph: &Stub) -> usize {
    let requests = subgraph.requests();
    let is_schema =
        |request: &&Request| String::from_utf8_lossy(&request.body).contains("_service");
    requests
        .iter()
        .filter(|request| !is_schema(request))
        .count()
}

#[track_caller]
fn hold(name: &str, measured: &Measured, expected: &str) {
    let Measured {
        took,
        growth,
        answer,
    } = measured;
    let head: String = answer.chars().take(600).collect();
    println!("{name}: refused after {took:?}, the memory grew by {growth} KiB");
    assert!(answer.contains(expected), "{name}: {head}");
    assert!(*took <= PROMPT, "{name}: {took:?}");
    assert!(*growth <= MOST_GROWTH, "{name}: {growth} KiB");
}

#[expect(clippy::disallowed_methods, reason = "measures a real process")]
fn now() -> Instant {
    Instant::now()
}
