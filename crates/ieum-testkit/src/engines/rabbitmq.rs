//! RabbitMQ, with the port mapper of Erlang that it needs.

use anyhow::Result;
use rustix::process::Signal;

use super::{ENCODED, PASSWORD, Server, USER};
use crate::wait::free_port;

/// A RabbitMQ server of one node. Dropping it ends it.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    /// Ends after the server.
    _mapper: Server,
    port: u16,
}

impl RabbitMq {
    /// Starts a new server. It takes some seconds.
    pub fn start() -> Result<Self> {
        Self::with("")
    }

    /// Starts a new server with more of `rabbitmq.conf`.
    pub fn with(configuration: &str) -> Result<Self> {
        let (port, mapped, node) = (free_port()?, free_port()?, free_port()?);
        let mut mapper = Server::new("epmd", "KILL")?;
        let number = mapped.to_string();
        mapper.command(["epmd", "-address", "127.0.0.1", "-port", number.as_str()]);
        // Without it a mapper that knows a node refuses to end.
        mapper.variable("ERL_EPMD_RELAXED_COMMAND_CHECK", "1");
        mapper.start(mapped)?;

        let mut server = Server::new("rabbitmq", "KILL")?;
        let folder = server.folder().to_owned();
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n\
             disk_free_limit.absolute = 50MB\nloopback_users = none\n{configuration}\n"
        );
        std::fs::write(folder.join("rabbitmq.conf"), text)?;
        std::fs::write(folder.join("plugins"), "[].")?;
        std::fs::write(folder.join("rabbitmq-env.conf"), "")?;
        let place = |name: &str| folder.join(name).display().to_string();
        for (name, value) in [
            ("HOME", folder.display().to_string()),
            ("ERL_EPMD_PORT", mapped.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", format!("ieum{port}@localhost")),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", port.to_string()),
            ("RABBITMQ_DIST_PORT", node.to_string()),
            ("RABBITMQ_CONFIG_FILE", place("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", place("rabbitmq-env.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", place("plugins")),
            ("RABBITMQ_MNESIA_BASE", place("mnesia")),
            ("RABBITMQ_LOG_BASE", place("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_PID_FILE", place("pid")),
            // Few threads and no busy waiting: the machine is shared with what is tested.
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none".to_owned(),
            ),
            // The launcher becomes the server, so that its id is the server's.
            ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
        ] {
            server.variable(name, value);
        }
        server.command(["/usr/lib/rabbitmq/bin/rabbitmq-server"]);
        server.start(port)?;
        Ok(Self {
            server,
            _mapper: mapper,
            port,
        })
    }

    /// Its URL, of the virtual host `/`, with user and password.
    pub fn url(&self) -> String {
        format!("amqp://{USER}:{ENCODED}@127.0.0.1:{}", self.port)
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
