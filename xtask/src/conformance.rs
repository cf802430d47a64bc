//! `cargo xtask conformance`: every suite on every engine, as one table.
//!
//! The suites are tests like any others; each writes down what it found (`ieum_testkit::conformance`),
//! and here the findings become the table in the docs, in both languages. An engine that is silent is
//! an error: a suite that did not run proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::documents::twins;
use crate::test::ENGINES;
use crate::workspace::{self, Source, cargo};

/// What `ieum_testkit::conformance` reads.
pub(crate) const VARIABLE: &str = "IEUM_CONFORMANCE";

/// Which engines serve which port, in the order of the table.
const EXPECTED: [(&str, &[&str]); 7] = [
    (
        "log",
        &[
            "memory",
            "SQLite",
            "SQLite in memory",
            "PostgreSQL",
            "ieum (remote)",
        ],
    ),
    (
        "leases",
        &["memory", "SQLite", "SQLite in memory", "PostgreSQL"],
    ),
    (
        "topics",
        &["memory", "SQLite", "PostgreSQL", "ieum (remote)"],
    ),
    ("outbox", &["memory", "SQLite", "PostgreSQL"]),
    (
        "broker",
        &[
            "memory",
            "SQLite",
            "RabbitMQ",
            "NATS JetStream",
            "Redis Streams",
            "Kafka (mock cluster)",
            "SNS/SQS (fake endpoint)",
        ],
    ),
    ("cache", &["memory", "Redis"]),
    ("rate limit", &["memory", "Redis"]),
];

/// What the names of the tests have that run suites.
const FILTERS: [&str; 3] = ["conformance", "promises", "suites"];

/// The page of the docs that holds the table.
const PAGE: &str = "docs/reference/conformance.md";
/// Its translation.
const KOREAN_PAGE: &str = "docs/ko/reference/conformance.md";

/// What the suites of one port found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Port {
    /// Cases in alphabetical order, each with the outcome on each engine.
    cases: BTreeMap<String, BTreeMap<String, Outcome>>,
    engines: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

type Ports = BTreeMap<String, Port>;

/// Runs the suites; prints the table, or one line of JSON, or writes the page.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let (is_json, is_written) = match args {
        [] => (false, false),
        ["--json"] => (true, false),
        ["--write"] => (false, true),
        ["--page"] => return write_pages(&read(&folder())?),
        _ => bail!("usage: cargo xtask conformance [--json | --write | --page]"),
    };
    let folder = fresh_folder()?;
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--no-fail-fast", "--quiet"])
        .args(["--features", ENGINES, "--"])
        .args(FILTERS)
        .env(VARIABLE, &folder)
        .stdout(std::process::Stdio::null());
    let succeeded = command.status().context("cannot run cargo test")?.success();
    let ports = read(&folder)?;
    if is_json {
        println!("{}", to_json(&ports));
    } else if is_written {
        write_pages(&ports)?;
    } else {
        print!("{}", tables(&ports, "case"));
    }
    let missing = missing(&ports);
    ensure!(missing.is_empty(), "no findings of {}", missing.join(", "));
    let failed = failed(&ports);
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    ensure!(succeeded, "a suite failed outside of its cases");
    Ok(())
}

/// Writes the pages of the docs, unless an engine was silent.
fn write_pages(ports: &Ports) -> Result<()> {
    let missing = missing(ports);
    ensure!(missing.is_empty(), "no findings of {}", missing.join(", "));
    for Source { path, text } in pages(ports) {
        std::fs::write(workspace::root().join(&path), text).context(path)?;
    }
    Ok(())
}

/// Where the findings of the last run are.
fn folder() -> PathBuf {
    workspace::root().join("target").join("conformance")
}

/// An empty folder for findings.
pub(crate) fn fresh_folder() -> Result<PathBuf> {
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// After a run of all tests: the pages of the docs say what was found.
pub(crate) fn check_page(folder: &Path) -> Result<()> {
    let ports = read(folder)?;
    let missing = missing(&ports);
    ensure!(missing.is_empty(), "no findings of {}", missing.join(", "));
    for Source { path, text } in pages(&ports) {
        let stands = std::fs::read_to_string(workspace::root().join(&path)).unwrap_or_default();
        ensure!(
            stands == text,
            "{path} is not what the suites found: run `cargo xtask conformance --write`"
        );
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Ports> {
    let mut ports = Ports::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let found = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        note(&mut ports, &found)?;
    }
    Ok(ports)
}

fn note(ports: &mut Ports, found: &Value) -> Result<()> {
    let text = |of: &Value| of.as_str().map(str::to_owned).context("a text is missing");
    let engine = text(&found["engine"])?;
    let port = ports.entry(text(&found["port"])?).or_default();
    port.engines.insert(engine.clone());
    let mut put = |case: &Value, outcome: Outcome| -> Result<()> {
        let outcomes = port.cases.entry(text(case)?).or_default();
        outcomes.insert(engine.clone(), outcome);
        Ok(())
    };
    let list = |name: &str| found[name].as_array().cloned().unwrap_or_default();
    for case in list("passed") {
        put(&case, Outcome::Passed)?;
    }
    for case in list("failed") {
        put(&case["case"], Outcome::Failed(text(&case["why"])?))?;
    }
    for case in list("skipped") {
        put(&case["case"], Outcome::Skipped(text(&case["why"])?))?;
    }
    Ok(())
}

fn missing(ports: &Ports) -> Vec<String> {
    let expected = EXPECTED.iter();
    let pairs = expected.flat_map(|(port, engines)| engines.iter().map(move |e| (*port, *e)));
    let is_missing = |(port, engine): &(&str, &str)| {
        !ports
            .get(*port)
            .is_some_and(|found| found.engines.contains(*engine))
    };
    let missing = pairs.filter(is_missing);
    missing
        .map(|(port, engine)| format!("{port} on {engine}"))
        .collect()
}

fn failed(ports: &Ports) -> Vec<String> {
    let mut failed = Vec::new();
    for (name, port) in ports {
        for (case, outcomes) in &port.cases {
            for (engine, outcome) in outcomes {
                if let Outcome::Failed(why) = outcome {
                    failed.push(format!("{name}: {case} on {engine}: {why}"));
                }
            }
        }
    }
    failed
}

fn to_json(ports: &Ports) -> Value {
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Passed => json!({ "outcome": "passed" }),
        Outcome::Failed(why) => json!({ "outcome": "failed", "why": why }),
        Outcome::Skipped(why) => json!({ "outcome": "skipped", "why": why }),
    };
    let mut rows = Vec::new();
    for (name, port) in ports {
        for (case, outcomes) in &port.cases {
            for (engine, found) in outcomes {
                let mut row = outcome(found);
                row["port"] = json!(name);
                row["case"] = json!(case);
                row["engine"] = json!(engine);
                rows.push(row);
            }
        }
    }
    let count = |wanted: &str| rows.iter().filter(|row| row["outcome"] == wanted).count();
    json!({
        "passed": count("passed"),
        "failed": count("failed"),
        "skipped": count("skipped"),
        "cases": rows,
    })
}

/// The page in English, and in Korean. Cases and reasons are the words of the tests in both.
fn pages(ports: &Ports) -> [Source; 2] {
    let english = Source {
        path: PAGE.to_owned(),
        text: format!("{INTRODUCTION}{}", tables(ports, "case")),
    };
    let first = twins::first_line(&english);
    let korean = Source {
        path: KOREAN_PAGE.to_owned(),
        text: format!("{first}\n{KOREAN_INTRODUCTION}{}", tables(ports, "케이스")),
    };
    [english, korean]
}

/// One table for each port: a row for each case, a column for each engine. `heading` is that of the
/// cases.
fn tables(ports: &Ports, heading: &str) -> String {
    let mut text = String::new();
    for (name, port) in ports {
        let engines = columns(name, port);
        let _ = writeln!(
            text,
            "\n## {name}\n\n| {heading} | {} |",
            engines.join(" | ")
        );
        let _ = writeln!(text, "|---|{}", "---|".repeat(engines.len()));
        let mut notes: Vec<&str> = Vec::new();
        for (case, outcomes) in &port.cases {
            let cells: Vec<String> = engines
                .iter()
                .map(|engine| cell(outcomes.get(*engine), &mut notes))
                .collect();
            let _ = writeln!(
                text,
                "| {} | {} |",
                case.replace('_', " "),
                cells.join(" | ")
            );
        }
        for (number, note) in (1..).zip(&notes) {
            let gap = if number == 1 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{number}. {note}");
        }
    }
    text
}

/// The engines of a port in the order in which they are expected.
fn columns<'a>(name: &str, port: &'a Port) -> Vec<&'a str> {
    let expected = EXPECTED.iter().find(|(expected, _)| *expected == name);
    let order = expected.map_or(&[][..], |(_, engines)| engines);
    let place = |engine: &str| {
        order
            .iter()
            .position(|e| *e == engine)
            .unwrap_or(order.len())
    };
    let mut engines: Vec<&str> = port.engines.iter().map(String::as_str).collect();
    engines.sort_by_key(|engine| (place(engine), engine.to_owned()));
    engines
}

fn cell<'a>(outcome: Option<&'a Outcome>, notes: &mut Vec<&'a str>) -> String {
    match outcome {
        Some(Outcome::Passed) => "✓".to_owned(),
        Some(Outcome::Failed(_)) => "**failed**".to_owned(),
        Some(Outcome::Skipped(why)) => {
            let known = notes.iter().position(|note| note == why);
            let place = known.unwrap_or_else(|| {
                notes.push(why);
                notes.len() - 1
            });
            format!("– ({})", place + 1)
        }
        None => String::new(),
    }
}

const INTRODUCTION: &str = "\
# Conformance: engines and cases

Every engine behind a port passes the same suite. This page is what the suites found; `cargo xtask \
conformance` runs them and prints it, with `--json` for machines. A case that an engine does not \
promise is skipped, and the number says why. A run of all tests fails if this page says anything else.
";

const KOREAN_INTRODUCTION: &str = "\
# 적합성: 엔진과 케이스

포트 뒤의 엔진은 모두 같은 모음(suite)을 통과한다. 이 페이지는 모음이 알아낸 것이다. `cargo xtask \
conformance`가 모음을 돌려 이것을 출력하고, 기계를 위해서는 `--json`을 준다. 엔진이 약속하지 않는 케이스는 \
건너뛰며, 번호가 그 까닭을 말한다. 케이스와 까닭은 테스트에 적힌 영어 그대로다. 모든 테스트를 돌렸을 때 \
이 페이지가 그 결과와 다르면 그 실행은 실패한다.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Ports {
        let mut ports = Ports::new();
        let found = [
            json!({ "port": "cache", "engine": "Redis", "passed": ["b_is"], "failed": [],
                    "skipped": [{ "case": "a_is", "why": "it has no a" }] }),
            json!({ "port": "cache", "engine": "memory", "passed": ["a_is"],
                    "failed": [{ "case": "b_is", "why": "oh" }], "skipped": [] }),
        ];
        for found in &found {
            note(&mut ports, found).expect("well formed");
        }
        ports
    }

    #[test]
    fn the_table_has_a_row_for_each_case_and_says_why_one_was_skipped() {
        let expected = "\n## cache\n\n| case | memory | Redis |\n|---|---|---|\n\
                        | a is | ✓ | – (1) |\n| b is | **failed** | ✓ |\n\n1. it has no a\n";
        assert_eq!(tables(&found(), "case"), expected);
    }

    #[test]
    fn the_korean_page_has_the_rows_of_the_english_one_and_names_it() {
        let [english, korean] = pages(&found());
        let (first, rest) = korean.text.split_once('\n').expect("lines");
        assert_eq!(first, twins::first_line(&english));
        assert!(rest.starts_with("# 적합성"), "{rest}");
        let rows = |text: &str| -> Vec<String> {
            let rows = text.lines().filter(|line| line.contains("✓"));
            rows.map(str::to_owned).collect()
        };
        assert_eq!(rows(rest), rows(&english.text));
        assert_eq!(rows(rest).len(), 2);
    }

    #[test]
    fn what_failed_and_who_was_silent_is_named() {
        let found = found();
        assert_eq!(failed(&found), ["cache: b_is on memory: oh"]);
        let missing = missing(&found);
        assert!(
            missing.contains(&"log on PostgreSQL".to_owned()),
            "{missing:?}"
        );
        assert!(
            !missing.iter().any(|m| m.starts_with("cache")),
            "{missing:?}"
        );
        let json = to_json(&found);
        assert_eq!((&json["passed"], &json["failed"]), (&json!(2), &json!(1)));
    }
}
