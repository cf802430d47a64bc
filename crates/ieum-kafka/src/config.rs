//! The settings of topics on Kafka, and what the client library is told.

use std::time::Duration;

use ieum_base::EngineUrl;
use ieum_messaging::{Error, ErrorKind, Limits, Result};
use rdkafka::ClientConfig;

/// The settings of topics on Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// After so long without a sign of life a member loses its partitions. Default 10 s.
    pub session_timeout: Duration,
    /// How long the brokers may take to answer, or to confirm what is published. Default 10 s.
    pub answer_timeout: Duration,
    /// How long `next` waits for a message. Default 20 s.
    pub wait: Duration,
    /// Whether a member's name is its `group.instance.id`: a process that starts again under the same
    /// name takes over at once, and the one before is fenced. Default true.
    pub static_members: bool,
    /// The most messages that a subscription holds without acknowledgement. Default 1,024.
    pub window: usize,
    /// What a message may be at most.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            wait: Duration::from_secs(20),
            static_members: true,
            window: 1_024,
            limits: Limits::default(),
        }
    }
}

/// What every client of the brokers at `url` is told.
pub(crate) fn client(url: &EngineUrl, config: &Config) -> Result<ClientConfig> {
    let refused = |why: &str| Error::new(ErrorKind::Invalid, format!("{url}: {why}"));
    if url.scheme() != super::SCHEME {
        return Err(refused(
            "a Kafka URL is `kafka://HOST:PORT`, several joined by commas",
        ));
    }
    if url.authority().is_empty() {
        return Err(refused("the host is missing, like `kafka://broker:9092`"));
    }
    let with_port = |host: &str| match host.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:9092"),
    };
    let hosts: Vec<String> = url.authority().split(',').map(with_port).collect();
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", hosts.join(","))
        .set("client.id", "ieum")
        .set("socket.timeout.ms", millis(config.answer_timeout))
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("message.max.bytes", MOST_BYTES)
        .set("allow.auto.create.topics", "true");
    if let (Some(user), Some(password)) = (url.user(), url.password()) {
        client
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", user)
            .set("sasl.password", password.expose());
    }
    Ok(client)
}

/// A time as the client library has it.
pub(crate) fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

/// A message at the limit, with its headers and the batch around it.
const MOST_BYTES: &str = "2097152";
