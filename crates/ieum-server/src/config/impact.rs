//! `[contracts]` and `[impact]`: what an impact is told from, beside what the platform knows by itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;
use super::report::Problem;

/// `[contracts]`: where the contracts between services are.
///
/// ```toml
/// [contracts]
/// folders = ["contracts"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Contracts {
    /// Folders with contracts (Pact files and OpenAPI descriptions that end in `.json`), not those below
    /// them. They are read when an impact is asked for; one that is not there is no error, but a warning.
    /// Default: none; at most 64.
    pub folders: Vec<PathBuf>,
}

/// `[impact]`: how `ieum impact` finds out who publishes what.
///
/// ```toml
/// [impact]
/// scan = 50000
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Impact {
    /// The most positions of the log that are read for one question, from its end. What was seen is
    /// remembered, so that the next question reads on. Default 50,000; 1 to 10,000,000.
    pub scan: u64,
}

/// The most folders with contracts.
const MAX_FOLDERS: usize = 64;
/// The most positions that are read.
const MAX_SCAN: u64 = 10_000_000;

impl Default for Impact {
    fn default() -> Self {
        Self { scan: 50_000 }
    }
}

/// What is wrong with `[contracts]` and `[impact]`.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    if config.contracts.folders.len() > MAX_FOLDERS {
        let what = format!("at most {MAX_FOLDERS} folders are read");
        problems.push(Problem::new(what).key("contracts.folders"));
    }
    if !(1..=MAX_SCAN).contains(&config.impact.scan) {
        let what = format!("the number of positions must be 1 to {MAX_SCAN}");
        problems.push(Problem::new(what).key("impact.scan"));
    }
}
