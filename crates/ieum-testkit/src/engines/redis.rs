//! Redis.

use anyhow::Result;
use rustix::process::Signal;

use super::{ENCODED, PASSWORD, Server};
use crate::wait::free_port;

/// A Redis server that asks for a password and syncs each write. Dropping it ends it.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
}

impl Redis {
    /// Starts a new server with `appendonly yes` and `appendfsync always`.
    pub fn start() -> Result<Self> {
        Self::with(&[("appendonly", "yes"), ("appendfsync", "always")])
    }

    /// Starts a new server with these settings.
    pub fn with(settings: &[(&str, &str)]) -> Result<Self> {
        let mut server = Server::new("redis", "KILL")?;
        let port = free_port()?;
        let folder = server.folder().display().to_string();
        let fixed = [
            ("port", port.to_string()),
            ("bind", "127.0.0.1".to_owned()),
            ("dir", folder),
            ("save", String::new()),
            ("requirepass", PASSWORD.to_owned()),
        ];
        let mut words = vec!["redis-server".to_owned()];
        for (name, value) in fixed {
            words.extend([format!("--{name}"), value]);
        }
        for (name, value) in settings {
            words.extend([format!("--{name}"), (*value).to_owned()]);
        }
        server.command(words);
        server.start(port)?;
        Ok(Self { server, port })
    }

    /// Its URL with the password.
    pub fn url(&self) -> String {
        format!("redis://:{ENCODED}@127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts it again on the same data and port.
    pub fn start_again(&mut self) -> Result<()> {
        self.server.start(self.port)
    }

    /// Makes it stand still: it accepts connections and never answers.
    pub fn freeze(&self) -> Result<()> {
        self.server.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.server.signal(Signal::CONT)
    }
}
