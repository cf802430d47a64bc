//! The engine by its URL, and what it promises.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Result};

use crate::config::{Config, DUPLICATES};
use crate::connection::Connection;
use crate::streams::Streams;
use crate::{Groups, Inspect, Operate, Publisher, Subscriber};

/// The scheme of a URL.
pub const SCHEME: &str = "nats";

/// All schemes: `tls` insists on TLS.
pub const SCHEMES: [&str; 2] = [SCHEME, "tls"];

/// What topics on JetStream promise with default settings.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "NATS JetStream",
    durable: Durable::Written,
    deduplicates: Deduplicates::Within(DUPLICATES),
    parks_keys: true,
    looks_ahead: true,
    retains_history: true,
    caveats: &[
        "an answered publish survives the end of the server's process, but not a power cut: JetStream \
         syncs its files every 2 minutes unless the server is told otherwise, so spread three replicas \
         over machines, or set `sync_interval: always` (2.10 and later)",
        "publishing a batch is not all or none: it ends as an error if a part was stored, and \
         publishing it again adds the rest",
        "an id is known for 2 minutes (`duplicates` in the URL): what is published again later is there \
         twice, and the receivers' inboxes keep its effect from happening twice",
        "a message is kept for 7 days (`max-age` in the URL): a group that reads later has lost it, \
         which its log says",
    ],
};

/// The ports over one connection.
#[derive(Clone, Debug)]
pub struct Engine {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
}

impl Engine {
    /// Publishes.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.connection), Arc::clone(&self.streams))
    }

    /// Subscribes.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber::new(Arc::clone(&self.connection), Arc::clone(&self.streams))
    }

    /// Works for groups, each call by itself.
    pub fn groups(&self) -> Groups {
        Groups::new(Arc::clone(&self.connection), Arc::clone(&self.streams))
    }

    /// Shows topics, groups and dead letters.
    pub fn inspect(&self) -> Inspect {
        Inspect::new(Arc::clone(&self.connection))
    }

    /// Replays and skips dead letters.
    pub fn operate(&self) -> Operate {
        Operate::new(Arc::clone(&self.connection), Arc::clone(&self.streams))
    }

    /// What it promises, with its settings.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            deduplicates: Deduplicates::Within(self.connection.config.duplicates),
            ..CAPABILITIES
        }
    }
}

/// Connects to the servers of `url` with its settings, or says what is wrong: `Invalid` for what
/// trying again does not mend (user, password or token, no JetStream, a wrong parameter),
/// `Unavailable` if nobody answers there. Later losses of the connection are mended by itself, for
/// ever. Dropping the last part of it closes the connection.
pub async fn open(url: &EngineUrl, config: Config, clock: &Clock) -> Result<Engine> {
    let connection = Box::pin(Connection::open(url, config, clock)).await?;
    Ok(Engine {
        connection: Arc::new(connection),
        streams: Arc::default(),
    })
}

/// Topics at the URL `nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,…][/NAMESPACE][?SETTINGS]`.
///
/// Errors are those of [`open`]. The client library runs the connection in tasks of its own, which
/// end with it; `tasks` is not used.
pub async fn connect(url: &EngineUrl, clock: &Clock, _tasks: &Tasks) -> Result<Broker> {
    let engine = open(url, Config::from_url(url)?, clock).await?;
    Ok(Broker {
        publisher: Arc::new(engine.publisher()),
        subscriber: Arc::new(engine.subscriber()),
        capabilities: engine.capabilities(),
    })
}
