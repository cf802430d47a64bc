//! The settings of a retry.

use std::time::Duration;

use ieum_base::{Backoff, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BudgetConfig;
use crate::InvalidSetting;

/// How often, and after which wait, a failed call is made again.
///
/// ```toml
/// retries = 1
/// backoff = "25ms"
/// backoff-max = "250ms"
/// jitter = true
/// budget = { percent = 20, window = "10s", per-second = 10 }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Attempts after the first. Default 1; 0 to 10.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// The ceiling of the first wait; it doubles with each attempt. Default `25ms`.
    pub backoff: HumanDuration,
    /// The highest ceiling. Default `250ms`; not below `backoff`.
    pub backoff_max: HumanDuration,
    /// Whether a wait is drawn evenly from zero to its ceiling. Default true.
    pub jitter: bool,
    /// What pays for retries. The default is on: 20 % of 10 s, and 10 per second.
    pub budget: BudgetConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retries: 1,
            backoff: HumanDuration::from_millis(25),
            backoff_max: HumanDuration::from_millis(250),
            jitter: true,
            budget: BudgetConfig::default(),
        }
    }
}

impl Config {
    /// The guides' retry: three attempts, the first counted, after exactly 1 s and 2 s (and 4 s
    /// before a fourth).
    pub fn guide() -> Self {
        Self {
            retries: 2,
            backoff: HumanDuration::from_secs(1),
            backoff_max: HumanDuration::from_secs(4),
            jitter: false,
            ..Self::default()
        }
    }

    /// The waits that these settings describe.
    pub const fn backoff(&self) -> Backoff {
        let backoff = Backoff::new(self.backoff.0, self.backoff_max.0);
        if self.jitter {
            backoff
        } else {
            backoff.without_jitter()
        }
    }

    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = self.budget.invalid();
        if self.retries > 10 {
            found.push(InvalidSetting::new("retries", "must be at most 10"));
        }
        if self.backoff_max < self.backoff {
            found.push(InvalidSetting::new(
                "backoff-max",
                "must not be below `backoff`",
            ));
        }
        if self.backoff_max.0 > Duration::from_secs(60) {
            found.push(InvalidSetting::new("backoff-max", "must be at most 1m"));
        }
        found
    }
}
