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
    /// The most bytes of a value, and of all values of a transaction. Default `512KiB`, as in Consul,
    /// and at most that.
    pub max_value: ByteSize,
    /// The most bytes of a key. Default 512; range 1 to 4,096.
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
    /// The most bytes of a value.
    pub fn most_value(&self) -> usize {
        usize::try_from(self.max_value.0.min(MOST_VALUE)).unwrap_or(usize::MAX)
    }

    /// What is wrong with it, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.max_value.0 > MOST_VALUE {
            let most = ByteSize(MOST_VALUE);
            problems.push(format!(
                "`max-value` is above {most}: an event of the log has to hold it"
            ));
        }
        if !(1..=MOST_KEY).contains(&self.max_key_bytes) {
            problems.push(format!("`max-key-bytes` is not between 1 and {MOST_KEY}"));
        }
        if self.least_session_ttl.0.is_zero() {
            problems.push("`least-session-ttl` is 0: sessions would end at once".to_owned());
        }
        problems
    }
}

const MOST_VALUE: u64 = 512 << 10;
const MOST_KEY: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_right_and_what_no_event_holds_is_wrong() {
        assert!(Config::default().problems().is_empty());
        let wrong = Config {
            max_value: ByteSize(MOST_VALUE + 1),
            max_key_bytes: 0,
            least_session_ttl: HumanDuration::from_secs(0),
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 3);
    }
}
