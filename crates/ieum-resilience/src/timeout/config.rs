//! The settings of a timeout.

use std::time::Duration;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidSetting;

/// How long a call may take.
///
/// ```toml
/// request = "15s"
/// connect = "1s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The whole call with all its attempts. Default `15s`; above 0.
    pub request: HumanDuration,
    /// Opening a connection. Default `1s`; above 0.
    pub connect: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request: HumanDuration::from_secs(15),
            connect: HumanDuration::from_secs(1),
        }
    }
}

impl Config {
    /// The time for each of `retries` + 1 attempts.
    pub fn per_try(&self, retries: u32) -> Duration {
        self.request.0 / retries.saturating_add(1)
    }

    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let both = [("request", self.request), ("connect", self.connect)];
        both.into_iter()
            .filter(|(_, duration)| duration.0.is_zero())
            .map(|(field, _)| InvalidSetting::new(field, "must be above 0s"))
            .collect()
    }
}
