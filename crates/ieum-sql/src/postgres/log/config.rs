//! The bounds of the log.

use std::time::Duration;

/// The settings of a log. All have a default that suits the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most appends in one call of the server, hence in one commit. Default 512.
    pub max_batch: usize,
    /// The most calls at once. They wait for each other at the server, so that more of them make
    /// smaller batches and, where it was measured, less of everything. Default 1.
    pub calls: usize,
    /// How many appends may wait for a call; beyond it `append` waits. Default 1,024.
    pub queue: usize,
    /// How long an append waits for its turn and is tried, while the server is away or the answer to
    /// it was lost, before it is answered `Unavailable`. Default 10 s.
    pub append_timeout: Duration,
    /// How often the head is looked at while somebody waits for it and no notification comes: the
    /// longest that a lost one delays a reader. Default 500 ms.
    pub poll: Duration,
    /// The least time between two notifications to other processes. Default 5 ms.
    pub tell_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_batch: 512,
            calls: 1,
            queue: 1_024,
            append_timeout: Duration::from_secs(10),
            poll: Duration::from_millis(500),
            tell_every: Duration::from_millis(5),
        }
    }
}
