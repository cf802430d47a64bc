//! How much is kept, and how short a session may be.

use ieum_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bounds of keys and sessions. All of them is held in memory while it is used.
///
/// ```toml
/// max-keys = 100000
/// max-bytes = "64MiB"
/// max-value = "512KiB"
/// max-key-bytes = 512
/// max-sessions = 4096
/// least-session-ttl = "10s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The most keys. Default 100,000.
    pub max_keys: usize,
    /// The most bytes of all keys and values together. Default `64MiB`.
    pub max_bytes: ByteSize,
    /// The most bytes of a value, and of all values of a transaction; at most `512KiB`, which is the
    /// default, as in Consul.
    pub max_value: ByteSize,
    /// The most bytes of a key. Default 512.
    pub max_key_bytes: usize,
    /// The most sessions. Default 4,096.
    pub max_sessions: usize,
    /// The least TTL of a session. Default `10s`, as in Consul.
    pub least_session_ttl: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_keys: 100_000,
            max_bytes: ByteSize(64 << 20),
            max_value: ByteSize(MOST_VALUE),
            max_key_bytes: 512,
            max_sessions: 4_096,
            least_session_ttl: HumanDuration::from_secs(10),
        }
    }
}

impl Config {
    /// The most bytes of a value, whatever was configured: an event must hold it.
    pub fn most_value(&self) -> usize {
        usize::try_from(self.max_value.0.min(MOST_VALUE)).unwrap_or(usize::MAX)
    }
}

const MOST_VALUE: u64 = 512 << 10;
