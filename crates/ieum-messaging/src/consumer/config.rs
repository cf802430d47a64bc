//! The settings of a consumer.

use ieum_base::{Backoff, HumanDuration};
use serde::{Deserialize, Serialize};

/// The settings of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How many messages are fetched at once, 1 or more. Default 64.
    pub batch: usize,
    /// The most messages that are neither acknowledged nor given up at once: how far a message that
    /// is tried again is looked past. Then its topic stands still, which the handle tells. 1 or more.
    /// Default 1,024.
    pub window: usize,
    /// How many messages are worked on at the same time, 1 or more. Default 16.
    pub concurrency: usize,
    /// How often a message is tried before it becomes a dead letter. Default 250: with the default
    /// pauses about ten minutes, so that an outage of minutes costs nothing but time.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each. Default 50 ms.
    pub first_pause: HumanDuration,
    /// The longest pause before any attempt. Default 5 s.
    pub longest_pause: HumanDuration,
    /// The longest pause before an engine that did not answer is asked again. Default 1 s.
    pub longest_reconnect: HumanDuration,
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
            window: 1_024,
            concurrency: 16,
            attempts: 250,
            first_pause: HumanDuration::from_millis(50),
            longest_pause: HumanDuration::from_secs(5),
            longest_reconnect: HumanDuration::from_secs(1),
            heartbeat: HumanDuration::from_secs(1),
            drain: HumanDuration::from_secs(10),
        }
    }
}

impl Config {
    /// The pauses before an engine is asked again, with full jitter.
    pub(super) fn reconnect(&self) -> Backoff {
        Backoff::new(self.first_pause.0, self.longest_reconnect.0)
    }

    /// The pauses between attempts, with full jitter.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.first_pause.0, self.longest_pause.0)
    }
}
