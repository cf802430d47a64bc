//! What `ieum doctor` says of a NATS server.

use ieum_base::{EngineUrl, Finding};
use ieum_messaging::ErrorKind;

use crate::config::Config;
use crate::connection::Connection;

/// Looks at the server of `url`: is it reachable, which version is it, does it have JetStream, and
/// which settings weaken what is promised. Changes nothing.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    let opened = match Config::from_url(url) {
        Ok(config) => Box::pin(Connection::open(url, config)).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(_) => vec![Finding::fine(format!("{url} answers"))],
        Err(error) if error.kind() == ErrorKind::Unavailable => vec![Finding::broken(
            error.to_string(),
            "start it, or correct the host and the port",
        )],
        Err(error) => vec![Finding::broken(error.to_string(), "correct the URL")],
    }
}
