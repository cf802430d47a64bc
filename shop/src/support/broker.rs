//! The broker that carries the shop's topics, chosen by its URL's scheme.

use anyhow::{Result, bail};
use ieum::base::{EngineUrl, Tasks};
use ieum::messaging::{Broker, Capabilities};

/// Connects to the broker at `url`, whose engine is built in. It connects again by itself whenever it
/// is lost, until the stop of `tasks`.
///
/// # Errors
/// If it does not answer or refuses us; the text names the URL without its password.
pub(crate) async fn connect(url: &EngineUrl, tasks: &Tasks) -> Result<Broker> {
    let _ = tasks;
    match url.scheme() {
        other => bail!("`{url}`: there is no broker `{other}` in this program"),
    }
}

/// What people have to know of an engine that carries their events, a line each.
pub(crate) fn remarks(engine: &Capabilities) -> Vec<String> {
    let caveats = engine.caveats.iter();
    let caveats = caveats.map(|caveat| format!("{}: {caveat}", engine.engine));
    std::iter::once(format!("events travel by {}", engine.engine))
        .chain(caveats)
        .collect()
}
