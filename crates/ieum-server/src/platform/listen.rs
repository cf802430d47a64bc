//! The addresses: a configured one is used or refused, a default one gives way.

use std::net::SocketAddr;

use ieum_http::listener::{self, BindError};
use tokio::net::TcpListener;

use super::StartError;
use crate::config::{Config, Problem};

/// Where the platform API listens when nothing is configured: Consul's port.
pub const DEFAULT_API: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8500);

/// A listener, and a remark if it is not where one would look for it.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) moved: Option<Moved>,
}

/// A default address that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What listens.
    pub what: &'static str,
    /// Where it would have been.
    pub from: SocketAddr,
    /// Where it is.
    pub to: SocketAddr,
}

/// Listens for the platform API.
pub(super) fn api(config: &Config) -> Result<Bound, StartError> {
    let configured = config.platform.listen;
    let listener = match configured {
        Some(address) => listener::bind(address),
        None => listener::bind_first_free(DEFAULT_API),
    };
    let listener = listener.map_err(|error| refused(config, "platform.listen", &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::new("the API's address is not known").caused_by(error))?;
    let moved = configured.is_none() && address != DEFAULT_API;
    Ok(Bound {
        listener,
        address,
        moved: moved.then_some(Moved {
            what: "platform API",
            from: DEFAULT_API,
            to: address,
        }),
    })
}

/// The error about an address that cannot be listened on, with the line that asks for it.
pub(super) fn refused(config: &Config, key: &str, error: &BindError) -> StartError {
    let (what, help) = split_help(&error.to_string());
    let problem = Problem::new(format!("`{key}`: {what}")).key(key);
    let problem = match help {
        Some(help) => problem.help(help),
        None => problem,
    };
    config.source.report(vec![problem]).into()
}

/// A bind error says "what: what to do".
fn split_help(text: &str) -> (String, Option<String>) {
    match text.split_once(" is in use: ") {
        Some((address, help)) => (format!("{address} is in use"), Some(help.to_owned())),
        None => (text.to_owned(), None),
    }
}
