//! The settings of a rate limit.

use std::time::Duration;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quota;
use crate::InvalidSetting;

/// So many requests per time, with a burst.
///
/// ```toml
/// requests = 100
/// per = "1s"
/// burst = 20
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Requests per `per`. Required; at least 1.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// The time that `requests` are spread over. Default `1s`; above 0, at most `24h`.
    #[serde(default = "one_second")]
    pub per: HumanDuration,
    /// Requests that may come at once after a pause. Default: as many as `requests`; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
}

const fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

impl Config {
    /// The quota that these settings describe; settings out of range are brought into it.
    pub fn quota(&self) -> Quota {
        Quota::new(
            self.requests,
            self.per.0,
            self.burst.unwrap_or(self.requests),
        )
    }

    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = Vec::new();
        if self.requests == 0 {
            found.push(InvalidSetting::new("requests", "must be at least 1"));
        }
        if self.burst == Some(0) {
            found.push(InvalidSetting::new("burst", "must be at least 1"));
        }
        if self.per.0.is_zero() || self.per.0 > Duration::from_secs(24 * 3600) {
            found.push(InvalidSetting::new(
                "per",
                "must be above 0s and at most 24h",
            ));
        }
        found
    }
}
