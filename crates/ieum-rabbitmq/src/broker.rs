//! Connecting, and what is promised then.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Result};

use crate::config::{Config, Queues};
use crate::connection::Link;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;

/// What topics on RabbitMQ promise.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "RabbitMQ",
    durable: Durable::Written,
    deduplicates: Deduplicates::Not,
    retains_history: false,
    parks_keys: true,
    looks_ahead: true,
    caveats: CAVEATS,
};

/// The last one is of classic queues only.
const CAVEATS: &[&str] = &[
    "a group gets what is published after it subscribed for the first time; what is published \
         before any group exists is not kept",
    "a message that is published again is delivered again; inboxes drop it",
    "acknowledgements are not confirmed: after a crash of RabbitMQ the last ones may come again",
    "classic queues write before they confirm and sync later: a power cut may lose the last \
         messages (`?queues=quorum` on a cluster syncs first)",
];

/// Connects to the RabbitMQ at `url`, or says what is wrong with it. A connection that is lost later
/// is made again when it is needed, for ever. What runs beside ends with `tasks`; `clock` stamps and
/// waits.
pub async fn connect(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    connect_with(url, Config::default(), clock, tasks).await
}

/// The same with other settings.
pub async fn connect_with(
    url: &EngineUrl,
    config: Config,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Broker> {
    let config = config.of(url)?;
    let link = |purpose| Arc::new(Link::new(url.clone(), purpose, config, clock.clone()));
    let (publishing, consuming) = (link("publisher"), link("subscriber"));
    publishing.connect().await?;
    let publisher = Arc::new(Publisher::new(publishing));
    let subscriber = Subscriber::new(consuming, Arc::clone(&publisher), tasks.clone());
    Ok(Broker {
        publisher,
        subscriber: Arc::new(subscriber),
        capabilities: capabilities(config.queues),
    })
}

/// What topics on such queues promise.
pub const fn capabilities(queues: Queues) -> Capabilities {
    match queues {
        Queues::Classic => CAPABILITIES,
        Queues::Quorum => Capabilities {
            durable: Durable::Synced,
            caveats: CAVEATS.split_at(CAVEATS.len() - 1).0,
            ..CAPABILITIES
        },
    }
}
