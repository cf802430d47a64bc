//! Redis: topics and consumer groups on streams, a cache, rate limits. One server, 6.2 or newer.
//!
//! [`connect`] gives the messaging ports, [`Cache`] and [`Limits`] theirs, each over a [`Connection`]
//! that comes back by itself. Everything that reads and then writes is one script on the server, so
//! that no other client is in between; the scripts are in `scripts/`.
//!
//! How long an acknowledged message lives is a setting of the server (`appendfsync`), which is looked
//! at when a broker connects and declared in its [`Capabilities`](ieum_messaging::Capabilities);
//! [`examine`] explains it. Keys: `docs/reference/redis.md`.

mod broker;
mod cache;
mod client;
mod config;
mod connection;
mod doctor;
mod error;
mod groups;
mod keys;
mod limits;
mod position;
mod publisher;
mod reply;
mod subscriber;

pub use broker::{CAPABILITIES, connect};
pub use cache::Cache;
pub use config::Config;
pub use connection::Connection;
pub use doctor::examine;
pub use error::{Error, ErrorKind, Result};
pub use groups::Groups;
pub use limits::Limits;
pub use publisher::Publisher;
pub use subscriber::Subscriber;

/// The schemes of URLs that this crate serves: plain, and over TLS.
pub const SCHEMES: [&str; 2] = ["redis", "rediss"];
