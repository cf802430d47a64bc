//! The settings of a consumer.

use ieum_base::{Backoff, HumanDuration};
use serde::{Deserialize, Serialize};

/// The settings of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How many messages are fetched at once, 1 or more. Default 64.
    pub batch: usize,
    /// How many keys of a batch are worked on at the same time, 1 or more. Default 16.
    pub concurrency: usize,
    /// How often a message is tried before it becomes a dead letter. Default 250: with the default
    /// pauses about ten minutes, so that an outage of minutes costs nothing but time.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each. Default 50 ms.
    pub first_pause: HumanDuration,
    /// The longest pause before any attempt. Default 5 s.
    pub longest_pause: HumanDuration,
    /// How often finished messages of an unfinished batch are acknowledged, and the lease renewed.
    /// Default 1 s.
    pub heartbeat: HumanDuration,
    /// How long handlers may go on after a stop was requested. Default 10 s.
    pub drain: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: 64,
            concurrency: 16,
            attempts: 250,
            first_pause: HumanDuration::from_millis(50),
            longest_pause: HumanDuration::from_secs(5),
            heartbeat: HumanDuration::from_secs(1),
            drain: HumanDuration::from_secs(10),
        }
    }
}

impl Config {
    /// The pauses between attempts, with full jitter.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.first_pause.0, self.longest_pause.0)
    }
}
