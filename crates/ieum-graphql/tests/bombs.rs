//! Small requests that mean a lot of work are refused at once: within 50 ms and 16 MiB.
//!
//! One test in a process of its own, so that the memory is that of the bombs. In a build without
//! optimisation more time is allowed.

#![expect(
    clippy::expect_used,
    reason = "a helper of a test fails it by panicking"
)]

use std::time::Duration;

use ieum_graphql::{Config, Engine, Rejection, Request, Supergraph};
use serde_json::value::RawValue;
use tokio::time::Instant;

fn engine() -> Engine {
    let sdl = include_str!("../src/testdata/catalog.supergraph.graphql");
    let supergraph = Supergraph::parse(sdl).expect("a supergraph");
    let config = Config {
        introspection: true,
        ..Config::default()
    };
    Engine::new(supergraph, config).expect("an engine")
}

/// Name, request, and the code of the refusal.
fn bombs() -> Vec<(&'static str, Request, &'static str)> {
    let query = |text: String| Request::new(text);
    let doubling = |levels: usize, leaf: &str| {
        let mut text = "{ product(id: 1) { ...F0 } }".to_owned();
        for level in 0..levels {
            let next = level + 1;
            text += &format!(" fragment F{level} on Product {{ ...F{next} ...F{next} }}");
        }
        text + &format!(" fragment F{levels} on Product {{ {leaf} }}")
    };
    let aliases: String = (0..4_000).map(|n| format!("a{n}: title ")).collect();
    let ids = |count: usize| (0..count).map(|n| format!("\"{n}\",")).collect::<String>();
    let spread = "{ items { ".to_owned()
        + &"reviews { about { ".repeat(14)
        + "id"
        + &" } }".repeat(14)
        + " } }";
    vec![
        (
            "a mebibyte of braces",
            query("{".repeat(1 << 20)),
            "DOCUMENT_TOO_LARGE",
        ),
        ("braces", query("{".repeat(100_000)), "MAX_DEPTH_LIMIT"),
        (
            "brackets",
            query("{ a(b: ".to_owned() + &"[".repeat(100_000)),
            "MAX_DEPTH_LIMIT",
        ),
        (
            "fields within fields",
            query("{ a ".repeat(40) + &"}".repeat(40)),
            "MAX_DEPTH_LIMIT",
        ),
        (
            "tokens",
            query(format!("{{ {} }}", "a ".repeat(60_000))),
            "TOO_MANY_TOKENS",
        ),
        (
            "aliases",
            query(format!("{{ product(id: 1) {{ {aliases} }} }}")),
            "MAX_ALIASES_LIMIT",
        ),
        (
            "roots",
            query(format!("{{ {} }}", "kinds ".repeat(21))),
            "MAX_ROOT_FIELDS_LIMIT",
        ),
        (
            "directives",
            query(format!("{{ kinds {} }}", "@skip(if: false)".repeat(2_000))),
            "MAX_DIRECTIVES_LIMIT",
        ),
        (
            "doubling fragments",
            query(doubling(30, "id")),
            "MAX_FIELDS_LIMIT",
        ),
        (
            "doubling fragments to nothing",
            query(doubling(30, "...Nowhere")),
            "MAX_FIELDS_LIMIT",
        ),
        (
            "doubling fragments that nobody spreads",
            query(doubling(30, "id").replacen("...F0", "id", 1)),
            "MAX_FIELDS_LIMIT",
        ),
        (
            "a long chain of fragments",
            query(doubling(150, "id").replace("...F1 ...F1", "...F1")),
            "MAX_DEPTH_LIMIT",
        ),
        (
            "fragments in a circle",
            query("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned()),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "definitions",
            query("query A { kinds } ".repeat(1_000)),
            "MAX_DEFINITIONS_LIMIT",
        ),
        (
            "one field again and again",
            query(format!(
                "{{ product(id: 1) {{ {} }} }}",
                "id ".repeat(4_900)
            )),
            "MAX_OVERLAPS_LIMIT",
        ),
        (
            "one object again and again",
            query(format!(
                "{{ product(id: 1) {{ {} }} }}",
                "sku { code region } ".repeat(1_600)
            )),
            "MAX_OVERLAPS_LIMIT",
        ),
        ("types within types", query(spread), "PLANNING_LIMIT"),
        (
            "10,000 ids in the document",
            query(format!("{{ products(ids: [{}]) {{ id }} }}", ids(10_000))),
            "MAX_LIST_LIMIT",
        ),
        (
            "10,000 entities",
            query(format!(
                "{{ _entities(representations: [{}]) {{ __typename }} }}",
                "{__typename: \"Product\", id: 1},".repeat(900)
            )),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "a name of 100 KiB",
            query(format!("{{ {} }}", "a".repeat(100 << 10))),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "many wrong fields",
            query(format!(
                "{{ product(id: 1) {{ {} }} }}",
                (0..4_900).map(|n| format!("w{n} ")).collect::<String>()
            )),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ]
}

/// Name, variables, and the code of the refusal.
fn variables() -> Vec<(&'static str, String, &'static str)> {
    let list = |element: &str, count: usize| {
        let elements = vec![element; count].join(",");
        format!("{{\"ids\":[{elements}]}}")
    };
    let objects: Vec<String> = (0..20)
        .map(|n| format!("\"o{n}\":[{}]", vec!["0"; 900].join(",")))
        .collect();
    let flags: String = (0..50_000).map(|n| format!("\"f{n}\":true,")).collect();
    let flags = format!("{{{flags}\"ids\":[]}}");
    vec![
        ("many flags", flags, "VARIABLES_TOO_LARGE"),
        ("10,000 ids", list("\"id\"", 10_000), "MAX_LIST_LIMIT"),
        (
            "a mebibyte of empty lists",
            list("[]", 300_000),
            "MAX_LIST_LIMIT",
        ),
        (
            "many values",
            format!("{{{}}}", objects.join(",")),
            "VARIABLES_TOO_LARGE",
        ),
        (
            "more than a mebibyte",
            format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)),
            "VARIABLES_TOO_LARGE",
        ),
        (
            "deep",
            format!("{{\"ids\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            "MAX_DEPTH_LIMIT",
        ),
    ]
}

/// Runs it three times; the best time is not that of a busy machine.
fn timed(run: impl Fn(usize) -> Result<(), Rejection>) -> (String, Duration) {
    let mut best = Duration::MAX;
    let mut code = "accepted".to_owned();
    for round in 0..3 {
        let start = Instant::now();
        let result = run(round);
        best = best.min(start.elapsed());
        if let Err(rejection) = result {
            code = rejection.errors()[0].code().to_owned();
            assert!(rejection.body().len() < 16 << 10, "the refusal is small");
        }
    }
    (code, best)
}

/// A line of the process's status, in KiB: `VmRSS` now, `VmHWM` at most.
fn memory(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|it| it.starts_with(line))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_bomb_is_refused_at_once_and_without_memory() {
    let engine = engine();
    let (bombs, variables) = (bombs(), variables());
    let ids = "query ($ids: [ID!]!) { products(ids: $ids) { id @skip(if: false) } }";
    let ids = Request::new(ids);
    engine.prepare(&ids).expect("it is planned");
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 50 });
    // Forgets the peak of what was built until here.
    let before = std::fs::write("/proc/self/clear_refs", "5").ok();
    let before = before.and_then(|()| memory("VmRSS"));
    for (name, bomb, expected) in &bombs {
        let (code, time) = timed(|_| engine.prepare(bomb).map(|_| ()));
        println!("{time:>10.2?}  {name}: {code}");
        assert_eq!(&code, expected, "{name}");
        assert!(time <= allowed, "{name} took {time:?}");
    }
    for (name, text, expected) in &variables {
        let request = Request {
            variables: Some(RawValue::from_string(text.clone()).expect("valid JSON")),
            ..ids.clone()
        };
        let (code, time) = timed(|_| {
            let prepared = engine.prepare(&request)?;
            engine.variables(&prepared, &request).map(|_| ())
        });
        println!("{time:>10.2?}  {name}: {code}");
        assert_eq!(&code, expected, "{name}");
        assert!(time <= allowed, "{name} took {time:?}");
    }
    assert_eq!(engine.cached_plans(), 1, "no refusal is remembered");
    if let (Some(before), Some(after)) = (before, memory("VmHWM")) {
        let more = after.saturating_sub(before);
        println!("{more} KiB more at the peak");
        assert!(more <= 16 << 10, "{more} KiB");
    }
    what_the_limits_let_pass_takes_little_time(&engine);
}

fn what_the_limits_let_pass_takes_little_time(engine: &Engine) {
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });
    for (name, text) in busy() {
        let (code, time) = timed(|round| {
            // Another text each time, so that nothing is remembered.
            let request = Request::new(format!("{text} # {round}"));
            engine.prepare(&request).map(|_| ())
        });
        println!("{time:>10.2?}  {name}: {code}");
        assert!(time <= allowed, "{name} took {time:?}");
    }
}

/// Just within the limits, and made to keep validation busy.
fn busy() -> Vec<(&'static str, String)> {
    let chain = |count: usize, body: &str| {
        let mut text = "{ product(id: 1) { ...F0 } }".to_owned();
        for n in 0..count {
            let next = if n + 1 < count {
                format!("...F{}", n + 1)
            } else {
                String::new()
            };
            text += &format!(" fragment F{n} on Product {{ {body} {next} }}");
        }
        text
    };
    let flat: String = (0..150)
        .map(|n| format!(" fragment F{n} on Product {{ sku {{ code }} }}"))
        .collect();
    let spreads: String = (0..150).map(|n| format!("...F{n} ")).collect();
    vec![
        ("a chain of fragments", chain(40, "sku { code region }")),
        (
            "fragments side by side",
            format!("{{ product(id: 1) {{ {spreads} }} }}{flat}"),
        ),
        (
            "many objects",
            format!("{{ product(id: 1) {{ {} }} }}", "sku { code } ".repeat(220)),
        ),
        (
            "many operations",
            (0..190)
                .map(|n| format!("query Q{n} {{ kinds product(id: 1) {{ id title }} }} "))
                .collect(),
        ),
        (
            "many arguments",
            format!(
                "query ($z: String!) {{ product(id: 1) {{ {} }} }}",
                "shippingCost(zip: $z) ".repeat(300)
            ),
        ),
    ]
}
