//! The broker that carries the shop's topics, chosen by its URL's scheme.

use ieum::base::{Clock, EngineUrl, Tasks};
use ieum::messaging::{Broker, Capabilities, Error, ErrorKind, Result};

use super::patience;

/// Connects to the broker at `url`, whose engine is built in. It connects again by itself whenever it
/// is lost, until the stop of `tasks`.
///
/// # Errors
/// If it does not answer or refuses us; the text names the URL without its password.
pub(crate) async fn connect(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    match url.scheme() {
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => ieum::rabbitmq::connect(url, clock, tasks).await,
        #[cfg(feature = "nats")]
        "nats" => ieum::nats::connect(url, clock, tasks).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" => ieum::redis::connect(url, clock, tasks).await,
        #[cfg(feature = "kafka")]
        "kafka" => ieum::kafka::connect(url, clock, tasks).await,
        _ => {
            // Which is all that is left where no engine is built in.
            let _ = (clock, tasks);
            let why = format!("`{url}` is no broker of this program");
            Err(Error::new(ErrorKind::Invalid, why))
        }
    }
}

/// The same at the start of a service: a broker that does not answer yet is waited for.
pub(super) async fn connect_patiently(url: &EngineUrl, tasks: &Tasks) -> Result<Broker> {
    let clock = Clock::system();
    let open = || connect(url, &clock, tasks);
    patience::wait("the broker", &clock, open, |error| {
        error.kind() == ErrorKind::Unavailable
    })
    .await
}

/// What people have to know of an engine that carries their events, a line each.
pub(crate) fn remarks(engine: &Capabilities) -> Vec<String> {
    let caveats = engine.caveats.iter();
    let caveats = caveats.map(|caveat| format!("{}: {caveat}", engine.engine));
    std::iter::once(format!("events travel by {}", engine.engine))
        .chain(caveats)
        .collect()
}
