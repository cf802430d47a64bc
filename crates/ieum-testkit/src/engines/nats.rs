//! NATS with JetStream.

use anyhow::Result;
use rustix::process::Signal;

use super::{ENCODED, PASSWORD, Server, USER};
use crate::wait::free_port;

/// A NATS server with JetStream on disk, that asks for a password. Dropping it ends it.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    port: u16,
    monitoring: u16,
}

impl Nats {
    /// Starts a new server with JetStream.
    pub fn start() -> Result<Self> {
        Self::with("jetstream { store_dir: \"STORE\" }")
    }

    /// Starts a new server with more of its configuration; `STORE` in it is a folder of its own.
    pub fn with(configuration: &str) -> Result<Self> {
        let mut server = Server::new("nats", "KILL")?;
        let (port, monitoring) = (free_port()?, free_port()?);
        let store = server.folder().join("store").display().to_string();
        let file = server.folder().join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitoring}\"\n\
             authorization {{ user: \"{USER}\", password: \"{PASSWORD}\" }}\n{}\n",
            configuration.replace("STORE", &store)
        );
        std::fs::write(&file, text)?;
        server.command(["nats-server", "-c", &file.display().to_string()]);
        server.start(port)?;
        Ok(Self {
            server,
            port,
            monitoring,
        })
    }

    /// Its URL with user and password.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{ENCODED}@127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port of its monitoring over HTTP.
    pub const fn monitoring(&self) -> u16 {
        self.monitoring
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
