//! One connection to the broker, made again whenever it is needed and lost.
//!
//! The client library's own recovery is off: in some cases it never connects again, and it would
//! repeat what a session of ours has given up. Whoever finds the connection lost asks for a channel
//! anew, with a backoff of its own; one attempt at a time, and for ever.

use std::sync::Arc;

use ieum_base::{Clock, EngineUrl};
use ieum_messaging::{Error, ErrorKind, Result};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::{Config, Queues};
use crate::error::{failed, no_connection, too_late};

/// The connection of one process for one purpose. A broker that runs out of memory blocks those that
/// publish, so publishing and consuming have connections of their own.
pub(crate) struct Link {
    url: EngineUrl,
    purpose: &'static str,
    config: Config,
    clock: Clock,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<Arc<Connection>>,
    /// The server may have been started just now: the one before was lost, or none could be made.
    is_fresh: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("url", &self.url)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link that has not connected yet.
    pub(crate) fn new(url: EngineUrl, purpose: &'static str, config: Config, clock: Clock) -> Self {
        Self {
            url,
            purpose,
            config,
            clock,
            current: Mutex::default(),
        }
    }

    /// Connects unless it is connected. At the start its error says what is wrong with the URL.
    /// Waits no longer behind others who try than a connection may take.
    pub(crate) async fn connect(&self) -> Result<Arc<Connection>> {
        let limit = self.config.connect_timeout + self.config.settling;
        let locked = timeout(limit, self.current.lock()).await;
        let mut current = locked.map_err(|_| too_late("waiting for others who connect"))?;
        let alive = current.connection.take_if(|c| c.status().connected());
        if let Some(connection) = alive {
            return Ok(Arc::clone(current.connection.insert(connection)));
        }
        current.is_fresh |= current.connection.take().is_some();
        let connected = connect(&self.url, self.purpose, &self.config).await;
        current.is_fresh |= connected.is_err();
        let connection = Arc::new(connected?);
        if current.is_fresh && self.config.queues == Queues::Quorum {
            // A queue that is used before it has elected its leader may never elect one
            // (rabbitmq-server#10070).
            self.clock.sleep(self.config.settling).await;
        }
        current.is_fresh = false;
        Ok(Arc::clone(current.connection.insert(connection)))
    }

    /// A new channel, on a new connection if the old one is lost. That the broker refuses the user by
    /// now may pass, as when it has not read its definitions yet.
    pub(crate) async fn channel(&self) -> Result<(Channel, Arc<Connection>)> {
        let connection = self.connect().await.map_err(|error| {
            let kind = ErrorKind::Unavailable;
            Error::new(kind, "connecting to RabbitMQ").caused_by(error)
        })?;
        let channel = timeout(self.config.answer_timeout, connection.create_channel()).await;
        let Ok(channel) = channel else {
            self.give_up(&connection).await;
            return Err(too_late("opening a channel"));
        };
        let channel = channel.map_err(|error| failed("opening a channel", error))?;
        Ok((channel, connection))
    }

    /// Lets go of a connection that does not answer; the next channel has a new one.
    pub(crate) async fn give_up(&self, connection: &Arc<Connection>) {
        let locked = timeout(self.config.answer_timeout, self.current.lock()).await;
        // Whoever holds it for longer is making another one.
        let Ok(mut current) = locked else { return };
        let is_it = |c: &mut Arc<Connection>| Arc::ptr_eq(c, connection);
        if current.connection.take_if(is_it).is_some() {
            current.is_fresh = true;
        }
    }

    /// The clock that it waits and stamps by.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The settings.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }
}

/// Connects once, within the connect timeout.
pub(crate) async fn connect(url: &EngineUrl, purpose: &str, config: &Config) -> Result<Connection> {
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("ieum {purpose}").into())
        .with_client_property("product".into(), "ieum".into());
    let connecting = Connection::connect_uri(uri(url, config)?, properties);
    match timeout(config.connect_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(no_connection(url, error)),
        Err(_) => {
            let why = format!(
                "{url}: no connection within {:?}; check host and port, and that RabbitMQ runs",
                config.connect_timeout
            );
            Err(Error::new(ErrorKind::Unavailable, why))
        }
    }
}

/// The virtual host: the URL's path, `/` if there is none.
pub(crate) fn virtual_host(url: &EngineUrl) -> String {
    match url.path() {
        "" => "/".to_owned(),
        path => percent_decoded(path),
    }
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn uri(url: &EngineUrl, config: &Config) -> Result<AMQPUri> {
    let refused = |why: &str| Error::new(ErrorKind::Invalid, format!("{url}: {why}"));
    let (scheme, port) = match url.scheme() {
        "amqp" => (AMQPScheme::AMQP, 5_672),
        "amqps" => (AMQPScheme::AMQPS, 5_671),
        _ => return Err(refused("a RabbitMQ URL is `amqp://…` or `amqps://…`")),
    };
    let (host, port) = match url.authority().rsplit_once(':') {
        Some((host, number)) if !number.ends_with(']') => {
            let number = number.parse();
            (host, number.map_err(|_| refused("the port is no number"))?)
        }
        _ => (url.authority(), port),
    };
    if host.is_empty() {
        return Err(refused("the host is missing, like `amqp://rabbit:5672`"));
    }
    let username = url.user().unwrap_or("guest").to_owned();
    let password = match (url.password(), url.user()) {
        (Some(password), _) => password.expose().clone(),
        (None, Some(_)) => String::new(),
        (None, None) => "guest".to_owned(),
    };
    let heartbeat = u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX);
    let timeout = u64::try_from(config.connect_timeout.as_millis()).unwrap_or(u64::MAX);
    Ok(AMQPUri {
        scheme,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username, password },
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        },
        vhost: virtual_host(url),
        query: AMQPQueryString {
            heartbeat: Some(heartbeat.max(1)),
            connection_timeout: Some(timeout),
            ..AMQPQueryString::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (&str, u16, &str, &str, &str)) {
        let url: EngineUrl = text.parse().expect("a URL");
        let uri = uri(&url, &Config::default()).expect("an AMQP URL");
        let found = (
            uri.authority.host.as_str(),
            uri.authority.port,
            uri.vhost.as_str(),
            uri.authority.userinfo.username.as_str(),
            uri.authority.userinfo.password.as_str(),
        );
        assert_eq!(found, expected);
    }

    #[test]
    fn a_url_names_host_virtual_host_and_user() {
        check("amqp://rabbit", ("rabbit", 5_672, "/", "guest", "guest"));
        let all = "amqps://app:s3cret%2F@rabbit:7/shop%2Fa?x=1";
        check(all, ("rabbit", 7, "shop/a", "app", "s3cret/"));
        check("amqp://[::1]/", ("::1", 5_672, "/", "guest", "guest"));
        for wrong in ["amqp://", "amqp://rabbit:port", "kafka://rabbit"] {
            let url: EngineUrl = wrong.parse().expect("a URL");
            let error = uri(&url, &Config::default()).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
