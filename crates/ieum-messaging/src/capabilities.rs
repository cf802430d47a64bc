//! What an engine promises, said by itself: the suite runs what is promised, and a start prints what
//! is not.

use std::sync::Arc;
use std::time::Duration;

use crate::{Publisher, Subscriber};

/// Topics on a broker: what `connect` of an engine's crate answers.
#[derive(Clone)]
pub struct Broker {
    /// Publishes.
    pub publisher: Arc<dyn Publisher>,
    /// Subscribes.
    pub subscriber: Arc<dyn Subscriber>,
    /// What it promises.
    pub capabilities: Capabilities,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

/// What a messaging engine promises beyond the floor of the ports (at least once, order per key,
/// redelivery, dead letters).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The engine's name for people, like `NATS JetStream`.
    pub engine: &'static str,
    /// What an answered publish has survived.
    pub durable: Durable,
    /// For how long publishing the same source and id again adds nothing.
    pub deduplicates: Deduplicates,
    /// Whether a group that subscribes for the first time gets the topic from its beginning. Where it
    /// does not, it gets what is published from then on.
    pub retains_history: bool,
    /// Whether a dead letter makes what follows on its key wait behind it, for an operator.
    pub parks_keys: bool,
    /// Whether a subscription can look behind messages that are not acknowledged yet.
    pub looks_ahead: bool,
    /// What it does not promise, a sentence each: printed at the start.
    pub caveats: &'static [&'static str],
}

/// What an answered publish has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durable {
    /// Nothing: it is in the engine's memory.
    Memory,
    /// The end of the engine's process, but not a power cut: it was written, not synced.
    Written,
    /// A power cut: it was synced to disk before the answer.
    Synced,
}

/// For how long publishing the same source and id again adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deduplicates {
    /// Never: the receivers' inboxes do it.
    Not,
    /// Within this time after the first.
    Within(Duration),
    /// For ever.
    Always,
}
