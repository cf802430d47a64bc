//! What the suites found, written down for the table of engines and cases.

use std::path::PathBuf;

use serde_json::{Value, json};

/// The environment variable that names the folder for the results; without it nothing is written.
pub const VARIABLE: &str = "IEUM_CONFORMANCE";

/// Writes down what the suite of `port` found on `engine`: one file, which `cargo xtask conformance`
/// reads. `failed` and `skipped` say why.
pub fn record(
    port: &str,
    engine: &str,
    passed: &[&str],
    failed: &[(&str, String)],
    skipped: &[(&str, String)],
) {
    let Some(folder) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        return;
    };
    let with_reason = |cases: &[(&str, String)]| -> Vec<Value> {
        let cases = cases.iter();
        cases
            .map(|(case, why)| json!({ "case": case, "why": why }))
            .collect()
    };
    let found = json!({
        "port": port,
        "engine": engine,
        "passed": passed,
        "failed": with_reason(failed),
        "skipped": with_reason(skipped),
    });
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = format!("{port}-{engine}").chars().map(legal).collect();
    let written = std::fs::write(folder.join(format!("{name}.json")), found.to_string());
    if let Err(error) = written {
        eprintln!("the results of {port} on {engine} cannot be written: {error}");
    }
}
