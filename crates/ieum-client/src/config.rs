//! The settings of a client.

use ieum_base::ByteSize;
use ieum_discovery::balance;
use ieum_resilience::{bulkhead, retry, timeout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How services are called. One client, one set of settings; a single call may shorten its timeout.
///
/// ```toml
/// balance = "p2c"
/// max-answer = "16MiB"
/// [timeout]
/// request = "15s"
/// [retry]
/// retries = 1
/// [bulkhead]
/// in-flight = 1024
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// How long a call may take, with all its attempts. An attempt gets its even share; one that
    /// no other can follow gets all that is left.
    pub timeout: timeout::Config,
    /// How often a call is made again, and what pays for it.
    pub retry: retry::Config,
    /// How many calls to one service run at once.
    pub bulkhead: bulkhead::Config,
    /// How an endpoint is chosen. Default `p2c`.
    pub balance: balance::Policy,
    /// The largest answer. Default `16MiB`.
    pub max_answer: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: timeout::Config::default(),
            retry: retry::Config::default(),
            bulkhead: bulkhead::Config::default(),
            balance: balance::Policy::default(),
            max_answer: ByteSize(16 << 20),
        }
    }
}
