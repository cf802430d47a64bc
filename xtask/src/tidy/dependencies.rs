//! Dependencies: one TLS stack, no banned crate, only licences that fit ours.
//!
//! The same rules stand in `deny.toml` for cargo-deny; here they need nothing installed.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::Findings;
use crate::workspace;

/// Crates that must not be in the graph, each with the reason.
const BANNED: [(&str, &str); 11] = [
    ("openssl-sys", "one TLS stack: rustls with aws-lc-rs"),
    ("native-tls", "one TLS stack: rustls with aws-lc-rs"),
    ("ring", "one TLS stack: rustls with aws-lc-rs"),
    ("reqwest", "our own client is the product"),
    (
        "sqlx",
        "cannot share a lock file with rusqlite, no pipelining",
    ),
    (
        "diesel",
        "rusqlite and tokio-postgres are the database clients",
    ),
    ("chrono", "jiff is the time library"),
    ("serde_yaml", "archived"),
    ("governor", "its keys are unbounded"),
    ("rsa", "RUSTSEC-2023-0071"),
    (
        "dashmap",
        "sharded locks hide contention; use an owned map or arc-swap",
    ),
];

/// Licences that may be linked into an MIT OR Apache-2.0 program.
const LICENCES: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "Unlicense",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
];

/// Weak copyleft by file (MPL-2.0), in what composes supergraphs: used as it is published.
const EXCEPTED: [&str; 5] = [
    "graphql-composition",
    "graphql-wrapping-types",
    "cynic-parser",
    "cynic-parser-deser",
    "cynic-parser-deser-macros",
];

pub(crate) fn check() -> Result<Findings> {
    let output = workspace::cargo()
        .args([
            "tree",
            "--workspace",
            "--edges=all",
            "--prefix=none",
            "--format={p}\t{l}",
        ])
        .output()
        .context("cannot run cargo tree")?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let graph = String::from_utf8_lossy(&output.stdout);
    let packages: BTreeSet<(&str, &str)> = graph.lines().filter_map(read_package).collect();
    Ok(packages
        .into_iter()
        .flat_map(|(name, licence)| check_package(name, licence))
        .collect())
}

/// Reads `NAME vVERSION …<tab>LICENCE`.
fn read_package(line: &str) -> Option<(&str, &str)> {
    let (package, licence) = line.split_once('\t')?;
    Some((package.split(' ').next()?, licence.trim_end_matches(" (*)")))
}

fn check_package(name: &str, licence: &str) -> Findings {
    let mut findings = Findings::new();
    if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
        findings.push(format!("Cargo.lock: `{name}` is banned: {why}"));
    }
    let is_excepted = licence == "MPL-2.0" && EXCEPTED.contains(&name);
    if !is_allowed(licence) && !is_excepted {
        findings.push(format!("Cargo.lock: `{name}` has the licence `{licence}`"));
    }
    findings
}

/// True if an SPDX expression without nested parentheses can be met with allowed licences.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let allowed = |name: &str| LICENCES.contains(&name.trim().trim_matches(['(', ')']).trim());
    let any_of = |choice: &str| choice.split(" OR ").any(allowed);
    expression.split(" AND ").all(any_of)
        || expression
            .split(" OR ")
            .any(|choice| choice.split(" AND ").all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_licence_expressions() {
        for fits in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert!(is_allowed(fits), "{fits}");
        }
        for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "LGPL-2.1 OR GPL-3.0"] {
            assert!(!is_allowed(wrong), "{wrong}");
        }
    }
}
