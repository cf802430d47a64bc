//! The settings of topics on RabbitMQ.

use std::time::Duration;

use ieum_base::{Backoff, EngineUrl};
use ieum_messaging::{Error, ErrorKind, Limits, Result};

/// What the queues of groups are, from their first declaration on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Durable classic queues, on one node each. A confirmed message was written to disk. They are
    /// ready as soon as the node is.
    #[default]
    Classic,
    /// Quorum queues, on several nodes of a cluster. A confirmed message was synced to disk on most of
    /// them. Not on a single node before RabbitMQ 3.13: a queue that is used while the node starts may
    /// never elect a leader, and shows itself as empty meanwhile (rabbitmq-server#10070).
    Quorum,
}

/// The settings of topics on RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the queues of groups are; the URL's parameter `queues`. Default classic.
    pub queues: Queues,
    /// How long a connection may take to be made, its handshake included. Default 5 s.
    pub connect_timeout: Duration,
    /// After so long without a sign of life either side gives up the connection, in whole seconds. A
    /// member that was frozen frees its group after about twice this. Default 5 s.
    pub heartbeat: Duration,
    /// With quorum queues: how long a connection that was made again rests before it is used. A server
    /// that was just started elects the leaders of its queues meanwhile. Default 2 s.
    pub settling: Duration,
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
            queues: Queues::default(),
            connect_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            settling: Duration::from_secs(2),
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

impl Config {
    /// The same with what the URL says about it.
    pub(crate) fn of(mut self, url: &EngineUrl) -> Result<Self> {
        self.queues = match url.parameter("queues") {
            None => self.queues,
            Some("classic") => Queues::Classic,
            Some("quorum") => Queues::Quorum,
            Some(other) => {
                let why = format!("{url}: `queues={other}`: use `classic` or `quorum`");
                return Err(Error::new(ErrorKind::Invalid, why));
            }
        };
        Ok(self)
    }
}
