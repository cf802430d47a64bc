//! Kafka: topics and consumer groups.
//!
//! A topic is a topic, a group a consumer group of its own for each topic, an acknowledgement a
//! commit. Messages are CloudEvents in the binding's binary mode, keyed by their ordering key.
//! docs/reference/kafka.md says what is promised and what is not.

mod binding;
mod config;
mod dead_letters;
mod doctor;
mod error;
mod places;
mod publisher;
mod subscriber;

use std::sync::Arc;

use ieum_base::{EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Error, ErrorKind, Result};

pub use config::Config;
pub use dead_letters::dead_letters;
pub use doctor::examine;
pub use publisher::Publisher;
pub use subscriber::Subscriber;

/// The scheme of its URLs.
pub const SCHEME: &str = "kafka";

/// What topics on Kafka promise.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "Kafka",
    durable: Durable::Written,
    deduplicates: Deduplicates::Not,
    retains_history: true,
    parks_keys: false,
    looks_ahead: true,
    caveats: &[
        "an answered publish is in the memory of the replicas in sync, not synced to their disks",
        "a message that is published again is delivered again; inboxes drop it",
        "members of a group share its partitions; the order is kept per key",
        "a dead letter leaves its topic alone: what follows on its key is delivered",
    ],
};

/// Connects to the brokers at `url`, or says what is wrong with it. The client library connects again
/// by itself, for ever; its threads end with the broker that is answered.
pub async fn connect(url: &EngineUrl, tasks: &Tasks) -> Result<Broker> {
    connect_with(url, Config::default(), tasks).await
}

/// The same with other settings.
pub async fn connect_with(url: &EngineUrl, config: Config, _tasks: &Tasks) -> Result<Broker> {
    doctor::brokers(url, &config).await.map_err(|error| {
        if error.kind() == ErrorKind::Invalid {
            return error;
        }
        let why = format!(
            "{url}: no answer within {:?}; check hosts, ports, user and password, and that the \
             brokers run",
            config.answer_timeout
        );
        Error::new(ErrorKind::Unavailable, why).caused_by(error)
    })?;
    let publisher = Arc::new(Publisher::new(url, config)?);
    let subscriber = Subscriber::new(url.clone(), config, Arc::clone(&publisher));
    Ok(Broker {
        publisher,
        subscriber: Arc::new(subscriber),
        capabilities: CAPABILITIES,
    })
}
