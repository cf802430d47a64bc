//! The settings of a bulkhead.

use std::time::Duration;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidSetting;

/// How many calls run and wait at once.
///
/// ```toml
/// in-flight = 1024
/// queue = 1024
/// wait = "1s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Calls in flight at once. Default 1,024; at least 1, at most 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight: u32,
    /// Calls that may wait for a place. Default 1,024; 0 refuses at once.
    pub queue: u32,
    /// The longest wait for a place. Default `1s`; at most `1m`.
    pub wait: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 1024,
            queue: 1024,
            wait: HumanDuration::from_secs(1),
        }
    }
}

impl Config {
    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = Vec::new();
        if !(1..=1_000_000).contains(&self.in_flight) {
            found.push(InvalidSetting::new(
                "in-flight",
                "must be from 1 to 1000000",
            ));
        }
        if self.wait.0 > Duration::from_secs(60) {
            found.push(InvalidSetting::new("wait", "must be at most 1m"));
        }
        found
    }
}
