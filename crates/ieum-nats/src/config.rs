//! The settings of topics on JetStream: parameters of the URL, or set by a program.

use std::time::Duration;

use ieum_base::{ByteSize, EngineUrl, HumanDuration};
use ieum_messaging::{Error, ErrorKind, Limits, Result};

use crate::names::Namespace;

/// The settings of topics on JetStream. A URL has them as parameters in kebab-case:
/// `nats://app:secret@broker:4222/shop?max-age=48h&replicas=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// In front of the names of all streams, subjects and buckets, so that several systems share an
    /// account: the URL's path. Letters, digits, `_` and `-`. Default `ieum`.
    pub namespace: Namespace,
    /// How long a member keeps its group after its last sign of life, at least 100 ms. Default 10 s.
    pub lease: Duration,
    /// How long the stream of a new topic keeps a message. Default 7 days (168h); `0s` is for ever.
    pub max_age: Duration,
    /// The most bytes that the stream of a new topic keeps; then publishing is refused as `Full`
    /// until messages are too old. Default 0, which leaves it to the account's limit.
    pub max_bytes: ByteSize,
    /// For how long the stream of a new topic knows the ids of its messages, which the server holds in
    /// memory. Default 2m, JetStream's own.
    pub duplicates: Duration,
    /// How many servers of a cluster hold the streams that are made, 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// The most messages of one publish that wait for their answer at once. Default 256.
    pub in_flight: usize,
    /// The most messages that are asked for at once. Default 256.
    pub page: usize,
    /// The most messages of a group that are neither acknowledged nor set aside. Default 8192.
    pub window: usize,
    /// The most dead letters and parked messages of one group. Default 1000.
    pub parked: usize,
    /// How long a connection may take to be made. Default 5s.
    pub connect: Duration,
    /// How long an answer of the server may take. Default 5s.
    pub answer: Duration,
    /// Where the server's monitoring answers, `HOST:PORT`, for `ieum doctor`. Default none.
    pub monitor: Option<String>,
    /// A file with the certificates to trust instead of the system's, for `tls://`. Default none.
    pub ca: Option<String>,
    /// A file with a token and a key for it (`.creds`), instead of a user in the URL. Default none.
    pub creds: Option<String>,
    /// What a message may be at most. The server's `max_payload` holds beside it.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            lease: Duration::from_secs(10),
            max_age: Duration::from_secs(7 * 24 * 3_600),
            max_bytes: ByteSize(0),
            duplicates: DUPLICATES,
            replicas: 1,
            in_flight: 256,
            page: 256,
            window: 8_192,
            parked: 1_000,
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            monitor: None,
            ca: None,
            creds: None,
            limits: Limits::default(),
        }
    }
}

/// How long a stream knows ids unless it is told otherwise.
pub(crate) const DUPLICATES: Duration = Duration::from_secs(120);

impl Config {
    /// Reads the path and the parameters of `url`. What is unknown or out of range is `Invalid`.
    pub fn from_url(url: &EngineUrl) -> Result<Self> {
        let mut config = Self::default();
        if !url.path().is_empty() {
            config.namespace = url.path().parse()?;
        }
        let query = url.rest().split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(name, value)?;
        }
        config.check()?;
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "lease" => self.lease = duration(name, value)?,
            "max-age" => self.max_age = duration(name, value)?,
            "max-bytes" => self.max_bytes = parsed(name, value)?,
            "duplicates" => self.duplicates = duration(name, value)?,
            "replicas" => self.replicas = parsed(name, value)?,
            "in-flight" => self.in_flight = parsed(name, value)?,
            "page" => self.page = parsed(name, value)?,
            "window" => self.window = parsed(name, value)?,
            "parked" => self.parked = parsed(name, value)?,
            "connect" => self.connect = duration(name, value)?,
            "answer" => self.answer = duration(name, value)?,
            "monitor" => self.monitor = Some(value.to_owned()),
            "ca" => self.ca = Some(value.to_owned()),
            "creds" => self.creds = Some(value.to_owned()),
            _ => {
                let why = format!(
                    "`{name}` is no parameter of a NATS URL: there are {}",
                    PARAMETERS.join(", ")
                );
                return Err(Error::new(ErrorKind::Invalid, why));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let wrong = if self.lease < Duration::from_millis(100) {
            "`lease` is at least 100ms"
        } else if ![1, 3, 5].contains(&self.replicas) {
            "`replicas` is 1, 3 or 5"
        } else if [self.in_flight, self.page, self.window, self.parked].contains(&0) {
            "`in-flight`, `page`, `window` and `parked` are at least 1"
        } else if self.connect.is_zero() || self.answer.is_zero() {
            "`connect` and `answer` are longer than nothing"
        } else if !self.max_age.is_zero() && self.duplicates > self.max_age {
            "`duplicates` is not longer than `max-age`"
        } else if i64::try_from(self.max_bytes.0).is_err() {
            "`max-bytes` is less than 8 EiB"
        } else {
            return Ok(());
        };
        let why = format!("a parameter of the NATS URL is out of range: {wrong}");
        Err(Error::new(ErrorKind::Invalid, why))
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|error: T::Err| {
        let why = format!("the parameter `{name}` of the NATS URL: {error}");
        Error::new(ErrorKind::Invalid, why)
    })
}

fn duration(name: &str, value: &str) -> Result<Duration> {
    parsed::<HumanDuration>(name, value).map(|duration| duration.0)
}

const PARAMETERS: [&str; 14] = [
    "lease",
    "max-age",
    "max-bytes",
    "duplicates",
    "replicas",
    "in-flight",
    "page",
    "window",
    "parked",
    "connect",
    "answer",
    "monitor",
    "ca",
    "creds",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Config> {
        Config::from_url(&url.parse().expect("a URL"))
    }

    #[test]
    fn reads_the_path_and_the_parameters() {
        let config = read("nats://broker/shop?lease=2s&max-bytes=1GiB&replicas=3").expect("valid");
        assert_eq!(config.namespace.as_str(), "shop");
        assert_eq!(config.lease, Duration::from_secs(2));
        assert_eq!(config.max_bytes, ByteSize(1 << 30));
        assert_eq!(config.replicas, 3);
        assert_eq!(read("nats://broker").expect("valid"), Config::default());
    }

    #[test]
    fn every_parameter_is_known_and_what_is_unknown_is_refused() {
        for name in PARAMETERS {
            let error = Config::default().set(name, "").err();
            let unknown = error.is_some_and(|error| error.to_string().contains("no parameter"));
            assert!(!unknown, "{name}");
        }
        for (url, why) in [
            ("nats://b?leese=1s", "`leese` is no parameter"),
            ("nats://b?lease=5", "`5` is not a duration"),
            ("nats://b?lease=1ms", "at least 100ms"),
            ("nats://b?replicas=2", "1, 3 or 5"),
            ("nats://b?max-age=1m", "not longer than `max-age`"),
            ("nats://b?window=0", "at least 1"),
            ("nats://b/a.b", "`a.b`"),
        ] {
            let error = read(url).expect_err(url).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
