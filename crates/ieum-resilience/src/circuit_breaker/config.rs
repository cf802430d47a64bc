//! The settings of a breaker, and the presets that people know by name.

use std::time::Duration;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidSetting;

/// When a breaker opens, for how long, and what closes it again.
///
/// ```toml
/// consecutive-failures = 7
/// success-rate = 0.8
/// minimum-requests = 5
/// window = "10s"
/// open = "1s"
/// open-max = "60s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Failures in a row that open the breaker. Default 7; 0 switches this rule off.
    pub consecutive_failures: u32,
    /// The breaker opens when the share of successes in the window is below this. Default 0.8;
    /// range 0 to 1; 0 switches this rule off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub success_rate: f64,
    /// Requests that must be in the window before the success rate counts. Default 5; at least 1.
    #[schemars(range(min = 1))]
    pub minimum_requests: u32,
    /// The length of the window. Default `10s`; `100ms` to `1h`.
    pub window: HumanDuration,
    /// How long the breaker stays open the first time. Default `1s`; above 0.
    pub open: HumanDuration,
    /// The longest it stays open, after probes that failed one after the other. Default `60s`.
    pub open_max: HumanDuration,
    /// How much is added to the open time at random, as a share of it, so that callers do not probe
    /// together. Default 0.5; range 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// Probes, one after the other, that must succeed to close it. Default 1; at least 1.
    #[schemars(range(min = 1))]
    pub probes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self::linkerd()
    }
}

impl Config {
    /// The default, after linkerd2-proxy: 7 in a row, or under 80 % of at least 5 in 10 s; open for
    /// 1 s doubling up to 60 s with jitter; one probe.
    pub const fn linkerd() -> Self {
        Self {
            consecutive_failures: 7,
            success_rate: 0.8,
            minimum_requests: 5,
            window: HumanDuration::from_secs(10),
            open: HumanDuration::from_secs(1),
            open_max: HumanDuration::from_secs(60),
            jitter: 0.5,
            probes: 1,
        }
    }

    /// Node's opossum: half of the calls in a rolling 10 s failed; reset after 30 s.
    /// (Its timeout of 3 s is [`Preset::timeout`](crate::Preset::timeout).)
    pub const fn opossum() -> Self {
        Self {
            consecutive_failures: 0,
            success_rate: 0.5,
            minimum_requests: 1,
            ..Self::fixed_reset(30)
        }
    }

    /// The guides' breaker: 5 failures in a row; reset after 30 s.
    pub const fn guide() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: 0.0,
            ..Self::fixed_reset(30)
        }
    }

    /// Java's resilience4j: half of at least 100 calls failed; reset after 60 s; ten probes. Its
    /// window is the last 100 calls, here it is the last 100 s.
    pub const fn resilience4j() -> Self {
        Self {
            consecutive_failures: 0,
            success_rate: 0.5,
            minimum_requests: 100,
            window: HumanDuration::from_secs(100),
            probes: 10,
            ..Self::fixed_reset(60)
        }
    }

    const fn fixed_reset(seconds: u64) -> Self {
        Self {
            open: HumanDuration::from_secs(seconds),
            open_max: HumanDuration::from_secs(seconds),
            jitter: 0.0,
            ..Self::linkerd()
        }
    }

    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field, message: &str| {
            if !holds {
                found.push(InvalidSetting::new(field, message));
            }
        };
        let share = 0.0..=1.0;
        require(
            share.contains(&self.success_rate),
            "success-rate",
            "must be from 0 to 1",
        );
        require(
            share.contains(&self.jitter),
            "jitter",
            "must be from 0 to 1",
        );
        require(
            self.minimum_requests > 0,
            "minimum-requests",
            "must be at least 1",
        );
        require(self.probes > 0, "probes", "must be at least 1");
        let windows = Duration::from_millis(100)..=Duration::from_secs(3600);
        require(
            windows.contains(&self.window.0),
            "window",
            "must be from 100ms to 1h",
        );
        require(!self.open.0.is_zero(), "open", "must be above 0s");
        require(
            self.open_max >= self.open,
            "open-max",
            "must not be below `open`",
        );
        let has_rule = self.consecutive_failures > 0 || self.success_rate > 0.0;
        require(
            has_rule,
            "consecutive-failures",
            "and `success-rate` are both 0: this breaker would never open",
        );
        found
    }
}
