//! The settings of a cache.

use std::time::Duration;

use ieum_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidSetting;

/// How long and how much a cache keeps.
///
/// ```toml
/// ttl = "5m"
/// entries = 10000
/// size = "64MiB"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// How long a value is kept where nothing else is said. Default `5m`; above 0s, at most `24h`.
    pub ttl: HumanDuration,
    /// The most entries in memory; those that were not used for longest go first. Default 10,000; at
    /// least 1. An engine that is reached by URL has bounds of its own.
    #[schemars(range(min = 1))]
    pub entries: usize,
    /// The most bytes in memory, keys and values. Default `64MiB`; at least `64KiB`.
    pub size: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: HumanDuration::from_secs(300),
            entries: 10_000,
            size: ByteSize(64 << 20),
        }
    }
}

impl Config {
    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = Vec::new();
        if self.ttl.0.is_zero() || self.ttl.0 > LONGEST_TTL {
            let range = "must be above 0s and at most 24h";
            found.push(InvalidSetting::new("ttl", range));
        }
        if self.entries == 0 {
            found.push(InvalidSetting::new("entries", "must be at least 1"));
        }
        if self.size.0 < SMALLEST {
            found.push(InvalidSetting::new("size", "must be at least 64KiB"));
        }
        found
    }
}

const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);
const SMALLEST: u64 = 64 << 10;
