//! Engines are compiled only where they are asked for: the default build has no client of a server in it.

use anyhow::{Context, Result};

use super::Findings;
use crate::workspace;

/// Client libraries of engines, each behind a feature.
const CLIENTS: [&str; 6] = [
    "async-nats",
    "deadpool-postgres",
    "lapin",
    "rdkafka",
    "redis",
    "tokio-postgres",
];

/// What users build without naming a feature.
const BUILT: [&str; 4] = ["ieum", "ieum-server", "ieum-sql", "shop"];

pub(crate) fn check() -> Result<Findings> {
    let mut findings = Findings::new();
    for package in BUILT {
        let output = workspace::cargo()
            .args(["tree", "--edges=normal", "--prefix=none", "-p", package])
            .output()
            .context("cannot run cargo tree")?;
        anyhow::ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let graph = String::from_utf8_lossy(&output.stdout);
        findings.extend(clients(package, &graph));
    }
    Ok(findings)
}

/// The clients that `graph`, one `NAME vVERSION …` a line, brings to the default build of `package`.
fn clients(package: &str, graph: &str) -> Findings {
    let names = graph.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<_> = names.filter(|name| CLIENTS.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    let finding = |name: &str| {
        format!(
            "{package}: its default build has `{name}` in it; an engine is a feature of its own"
        )
    };
    found.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_the_default_build_is_found_once() {
        let graph = "ieum v0.1.0\nlapin v4.12.0\ntokio v1.54.1\nlapin v4.12.0 (*)\n";
        assert_eq!(clients("ieum", graph).len(), 1);
        assert_eq!(
            clients("ieum", "ieum v0.1.0\nredis-protocol v6.0.0\n"),
            [""; 0]
        );
    }
}
