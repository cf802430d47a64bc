//! Connecting, and what is promised then.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Error, ErrorKind, Result};

use crate::config::Config;
use crate::doctor;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;

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
        "a record that is no CloudEvent is passed over, with an error in the log",
    ],
};

/// Connects to the brokers at `url`, or says what is wrong with it. The client library connects again
/// by itself, for ever; its threads end with the broker that is answered. `clock` stamps and waits.
pub async fn connect(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    connect_with(url, Config::default(), clock, tasks).await
}

/// The same with other settings.
pub async fn connect_with(
    url: &EngineUrl,
    config: Config,
    clock: &Clock,
    _tasks: &Tasks,
) -> Result<Broker> {
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
    let subscriber = Subscriber::new(url.clone(), config, clock.clone(), Arc::clone(&publisher));
    Ok(Broker {
        publisher,
        subscriber: Arc::new(subscriber),
        capabilities: CAPABILITIES,
    })
}
