//! The settings of topics on RabbitMQ.

use std::time::Duration;

use ieum_base::Backoff;
use ieum_messaging::Limits;

/// The settings of topics on RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a connection may take to be made, its handshake included. Default 5 s.
    pub connect_timeout: Duration,
    /// After so long without a sign of life either side gives up the connection, in whole seconds. A
    /// member that was frozen frees its group after about twice this. Default 5 s.
    pub heartbeat: Duration,
    /// How long the broker may take to answer or to confirm. Then the connection is given up, and
    /// whether it happened is unknown. Default 10 s.
    pub answer_timeout: Duration,
    /// How long `next` waits for a message. Default 20 s.
    pub wait: Duration,
    /// How long `next` tries to connect again before it answers the error. Default 30 s.
    pub patience: Duration,
    /// The pause before `next` connects again. Default 50 ms to 1 s.
    pub backoff: Backoff,
    /// The most messages that a subscription holds without acknowledgement, 1 to 65,535. As many as a
    /// consumer looks past. Default 1,024.
    pub window: u16,
    /// The most dead letters and parked messages of one group; when it is full the group stops.
    /// Takes effect when the group subscribes for the first time. Default 10,000.
    pub parked: u32,
    /// The most topics that one publisher remembers to have declared. Default 1,000.
    pub topics: usize,
    /// What a message may be at most.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            wait: Duration::from_secs(20),
            patience: Duration::from_secs(30),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            window: 1_024,
            parked: 10_000,
            topics: 1_000,
            limits: Limits::default(),
        }
    }
}
