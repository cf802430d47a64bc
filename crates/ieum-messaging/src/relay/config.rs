//! The settings of a relay.

use ieum_base::{Backoff, HumanDuration};
use serde::{Deserialize, Serialize};

/// The settings of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How many rows are read at once, 1 or more. Default 256.
    pub batch: usize,
    /// How long to wait for a new row before looking anyway: a wake-up is only a hint. Default 1 s.
    pub poll: HumanDuration,
    /// The longest pause after a first failure; it doubles with each. Default 50 ms.
    pub first_pause: HumanDuration,
    /// The longest pause after any failure. Default 1 s: a broker that was started again is used at
    /// once.
    pub longest_pause: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: 256,
            poll: HumanDuration::from_secs(1),
            first_pause: HumanDuration::from_millis(50),
            longest_pause: HumanDuration::from_secs(1),
        }
    }
}

impl Config {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.first_pause.0, self.longest_pause.0)
    }
}
