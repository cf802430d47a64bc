//! What the suites found, written down for the table of engines and cases.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// The environment variable that names the folder for the results; without it nothing is written.
pub const VARIABLE: &str = "IEUM_CONFORMANCE";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Writes down what the suite of `port`, or one case of it, found on `engine`: one file, which
/// `cargo xtask conformance` reads. `failed` and `skipped` say why.
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
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}.json", std::process::id());
    let written = std::fs::write(folder.join(name), found.to_string());
    if let Err(error) = written {
        eprintln!("the results of {port} on {engine} cannot be written: {error}");
    }
}
