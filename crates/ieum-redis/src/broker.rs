//! Connecting as a broker, and what it then promises.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Error, ErrorKind, Result};

use crate::connection::Connection;
use crate::doctor::Settings;
use crate::groups::Groups;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;

/// What Redis promises at its best: with `appendonly yes` and `appendfsync always`. What a server's
/// settings take away is told by the broker that [`connect`] answers.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "Redis Streams",
    durable: Durable::Synced,
    deduplicates: Deduplicates::Within(Duration::from_secs(600)),
    retains_history: true,
    parks_keys: true,
    looks_ahead: true,
    caveats: &[ONE_SERVER],
};

/// Connects to the server at `url` as a broker; the connection lives in `tasks` and comes back by
/// itself, for as long as they do.
///
/// # Errors
/// At once for a URL that makes no sense, a server that refuses us, and one that does not answer.
pub async fn connect(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    let connection = Connection::open(url, clock, tasks)
        .await
        .map_err(at_start)?;
    let settings = Settings::read(&connection).await?;
    let config = connection.config();
    let capabilities = Capabilities {
        durable: settings.durable(),
        deduplicates: Deduplicates::Within(config.window),
        caveats: caveats(&settings),
        ..CAPABILITIES
    };
    let groups = Arc::new(Groups::new(connection.clone()));
    Ok(Broker {
        publisher: Arc::new(Publisher::new(connection)),
        subscriber: Arc::new(Subscriber::new(groups)),
        capabilities,
    })
}

/// At the start a refusal is final: waiting mends no password. Later it may be a passing state of a
/// server that was there, and nobody's message is at fault.
fn at_start(error: crate::Error) -> Error {
    match error.kind() {
        crate::ErrorKind::Refused => {
            Error::new(ErrorKind::Invalid, error.to_string()).caused_by(error)
        }
        _ => error.into(),
    }
}

/// What is to be said at the start of a server with these settings.
fn caveats(settings: &Settings) -> &'static [&'static str] {
    match (settings.appendonly(), settings.fsync(), settings.evicts()) {
        (None, _, _) | (_, None, _) => &[ONE_SERVER, UNKNOWN],
        (Some(false), _, false) => &[ONE_SERVER, NOT_KEPT],
        (Some(false), _, true) => &[ONE_SERVER, NOT_KEPT, EVICTS],
        (Some(true), Some("always"), false) => &[ONE_SERVER],
        (Some(true), Some("always"), true) => &[ONE_SERVER, EVICTS],
        (Some(true), Some("no"), false) => &[ONE_SERVER, NOT_SYNCED],
        (Some(true), Some("no"), true) => &[ONE_SERVER, NOT_SYNCED, EVICTS],
        (Some(true), _, false) => &[ONE_SERVER, A_SECOND],
        (Some(true), _, true) => &[ONE_SERVER, A_SECOND, EVICTS],
    }
}

const ONE_SERVER: &str = "One server: what it has acknowledged is lost with its disk, and a failover to \
                          a replica loses what the replica did not have yet.";
const UNKNOWN: &str = "Its settings may not be read (CONFIG GET), so nothing is promised about what a \
                       crash loses.";
const NOT_KEPT: &str = "`appendonly` is off: whatever was acknowledged is lost with the process.";
const A_SECOND: &str = "`appendfsync` is everysec: a crash loses up to two seconds of acknowledged \
                        messages.";
const NOT_SYNCED: &str = "`appendfsync` is no: a power cut loses acknowledged messages, about half a \
                          minute of them.";
const EVICTS: &str = "`maxmemory-policy` evicts keys: a full memory loses messages instead of refusing \
                      them.";
