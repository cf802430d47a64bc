//! The engine's settings.

use std::time::Duration;

use ieum_base::{Backoff, ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the saga engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How many sagas make calls at the same time; the others queue. Default 256, at least 1.
    pub concurrency: usize,
    /// How many sagas call one service at the same time, so that one that hangs does not keep all
    /// turns. Default 64, at least 1.
    pub participant_concurrency: usize,
    /// How many sagas may be open. Beyond it a start is refused and events wait. Default 100000.
    pub max_open: usize,
    /// How many finished sagas are listed without reading the log. Default 1000.
    pub finished_kept: usize,
    /// How long the steps before the pivot may take together, where a definition does not say it.
    /// Default `24h`.
    pub deadline: HumanDuration,
    /// How long one attempt may take, where a step does not say it. Default `15s`.
    pub timeout: HumanDuration,
    /// How many attempts in a row a call gets, where a step does not say it. Then a step before the
    /// pivot is compensated and a step behind it is parked. What was certainly not sent (no instance,
    /// an open breaker) is no attempt. Default 30, which takes about five minutes with the default
    /// backoff.
    pub attempts: u32,
    /// How many attempts in a row an undo gets, unless its step has more; then the saga is parked.
    /// Default 1000, which takes about four hours with the default backoff.
    pub undo_attempts: u32,
    /// How many requests in a row may go unsent before the call is given up as above: it bounds the
    /// wait for a participant that is away where no deadline does. Default 10000, which takes about
    /// two days with the default backoff.
    pub unsent_attempts: u32,
    /// The longest wait before the second attempt; it doubles with each one. Default `100ms`.
    pub backoff_first: HumanDuration,
    /// The longest wait before any attempt, also when a participant asks for more. Default `30s`.
    pub backoff_most: HumanDuration,
    /// How long a participant that could not be reached goes untried at most while a saga waits for
    /// it. One of the waiting sagas tries; an answer wakes the others. Default `1s`.
    pub probe: HumanDuration,
    /// How long every participant keeps the answers of its barrier. A step that was begun longer ago
    /// is neither undone nor repeated by itself: the saga is parked, for its participant would take
    /// the call for another one. Default `720h`, the 30 days for which the barriers of the house keep them.
    pub participants_remember: HumanDuration,
    /// The largest input, as JSON. Default `256KiB`, at most `512KiB`.
    pub max_input: ByteSize,
    /// The largest answer of a participant. Default `64KiB`, at most `512KiB`.
    pub max_answer: ByteSize,
    /// After how many ended sagas it is written down which are open, so that a start needs not read
    /// further back. Default 2000, at least 1.
    pub snapshot_every: u64,
    /// Into how many partitions the sagas of a log are divided, for platforms that share it: it is
    /// written into the log when its first engine begins, and holds for good. Default 16, 1 to 1024.
    pub partitions: u32,
    /// How long the lease on a partition stands still before another platform takes over; the same
    /// on all platforms of a log. Default `5s`, `100ms` to `10m`.
    pub lease: HumanDuration,
    /// How long a command waits for the answer of the platform that owns the saga, before it is
    /// answered that it is written down. Default `10s`.
    pub command_wait: HumanDuration,
    /// How often a subscription looks for events although nothing woke it, and how often lost sagas
    /// are looked for. Default `5s`.
    pub sweep: HumanDuration,
    /// How long calls may go on after a stop was requested. Default `20s`.
    pub drain: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 256,
            participant_concurrency: 64,
            max_open: 100_000,
            finished_kept: 1_000,
            deadline: HumanDuration::from_secs(24 * 3_600),
            timeout: HumanDuration::from_secs(15),
            attempts: 30,
            undo_attempts: 1_000,
            unsent_attempts: 10_000,
            backoff_first: HumanDuration::from_millis(100),
            backoff_most: HumanDuration::from_secs(30),
            probe: HumanDuration::from_secs(1),
            participants_remember: HumanDuration::from_secs(30 * 24 * 3_600),
            max_input: ByteSize(256 << 10),
            max_answer: ByteSize(64 << 10),
            snapshot_every: 2_000,
            partitions: 16,
            lease: HumanDuration::from_secs(5),
            command_wait: HumanDuration::from_secs(10),
            sweep: HumanDuration::from_secs(5),
            drain: HumanDuration::from_secs(20),
        }
    }
}

impl Config {
    /// What is wrong with the settings; empty if they can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                found.push(what.to_owned());
            }
        };
        check(self.concurrency > 0, "`concurrency` is at least 1");
        check(
            self.participant_concurrency > 0,
            "`participant-concurrency` is at least 1",
        );
        check(self.max_open > 0, "`max-open` is at least 1");
        check(self.snapshot_every > 0, "`snapshot-every` is at least 1");
        check(self.attempts > 0, "`attempts` is at least 1");
        check(self.undo_attempts > 0, "`undo-attempts` is at least 1");
        check(self.unsent_attempts > 0, "`unsent-attempts` is at least 1");
        check(
            self.max_input.0 <= MOST_BYTES,
            "`max-input` is at most 512KiB",
        );
        check(
            self.max_answer.0 <= MOST_BYTES,
            "`max-answer` is at most 512KiB",
        );
        check(
            (1..=1_024).contains(&self.partitions),
            "`partitions` is 1 to 1024",
        );
        check(
            (LEAST_LEASE..=MOST_LEASE).contains(&self.lease.0),
            "`lease` is `100ms` to `10m`",
        );
        for (name, value) in [
            ("deadline", self.deadline),
            ("timeout", self.timeout),
            ("backoff-first", self.backoff_first),
            ("backoff-most", self.backoff_most),
            ("probe", self.probe),
            ("participants-remember", self.participants_remember),
            ("command-wait", self.command_wait),
            ("sweep", self.sweep),
        ] {
            check(
                !value.0.is_zero(),
                &format!("`{name}` is longer than nothing"),
            );
        }
        found
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_first.0, self.backoff_most.0)
    }

    /// The least waits, however many hints come that a participant is back.
    pub(super) fn probe_backoff(&self) -> Backoff {
        Backoff::new(self.backoff_first.0.min(self.probe.0), self.probe.0)
    }

    pub(super) fn max_input(&self) -> usize {
        usize::try_from(self.max_input.0).unwrap_or(usize::MAX)
    }

    pub(super) fn max_answer(&self) -> usize {
        usize::try_from(self.max_answer.0).unwrap_or(usize::MAX)
    }
}

/// The waits between appends that the log refused for the moment.
pub(super) const STORE_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

const LEAST_LEASE: Duration = Duration::from_millis(100);
const MOST_LEASE: Duration = Duration::from_secs(600);

/// Input and answers are kept in one event each, whose limit is 1 MiB.
const MOST_BYTES: u64 = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_a_zero_is_not() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong: Config =
            serde_json::from_str(r#"{"concurrency": 0, "max-input": "1MiB", "sweep": "0s"}"#)
                .expect("the shape is right");
        assert_eq!(wrong.problems().len(), 3);
    }
}
