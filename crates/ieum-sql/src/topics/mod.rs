//! What topics over a log are on every database: settings, and messages as events.

mod message;

use std::time::Duration;

use ieum_messaging::{Error, ErrorKind, Limits};

pub use message::{stream_of, to_event, to_message};

/// The settings of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a worker keeps its group after it was last seen. Default 5 s.
    pub lease: Duration,
    /// The most dead letters and parked messages of one group; when it is full the group stops.
    /// Default 10,000.
    pub parked: usize,
    /// The most topics. Default 1,000.
    pub topics: usize,
    /// The most groups of one topic. Default 1,000.
    pub groups: usize,
    /// What a message and a batch may be at most.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            parked: 10_000,
            topics: 1_000,
            groups: 1_000,
            limits: Limits::default(),
        }
    }
}

/// The log's refusal in the words of messaging.
pub(crate) fn log_error(error: ieum_eventstore::Error) -> Error {
    use ieum_eventstore::ErrorKind as Log;
    let kind = match error.kind() {
        Log::Full => ErrorKind::Full,
        Log::Unavailable => ErrorKind::Unavailable,
        Log::Invalid | Log::PartialDuplicate => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, error.to_string()).caused_by(error)
}
