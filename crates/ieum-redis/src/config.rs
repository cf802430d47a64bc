//! What the URL's parameters say.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ieum_base::{EngineUrl, HumanDuration};

use crate::error::{Error, ErrorKind, Result};

/// What a `redis://` or `rediss://` URL says beside host, user and password.
///
/// | parameter | meaning | default |
/// |---|---|---|
/// | path | the number of the database | 0 |
/// | `prefix` | what every key of ours begins with | `ieum:` |
/// | `ca` | a file of certificates (PEM) that the server's is checked against, for `rediss` | the public ones |
/// | `connect-timeout` | opening a connection | `1s` |
/// | `timeout` | one question of a cache or a limit | `50ms` |
/// | `patience` | one question of the broker | `5s` |
/// | `window` | how long a message's source and id are known | `10m` |
/// | `retain` | messages of a topic that are kept although every group is done with them | 100,000 |
/// | `most` | messages of a topic; more are refused | 1,000,000 |
/// | `dead-letters` | dead letters of a group; more stop it | 1,000 |
/// | `lease` | how long a worker that is silent keeps its group | `10s` |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The number of the database. Default 0.
    pub database: i64,
    /// What every key begins with. Default `ieum:`.
    pub prefix: String,
    /// A file of certificates that the server's is checked against. Default: the public ones.
    pub ca: Option<PathBuf>,
    /// How long opening a connection may take. Default 1 s.
    pub connect_timeout: Duration,
    /// How long one question of a cache or a limit may take. Default 50 ms.
    pub timeout: Duration,
    /// How long one question of the broker may take. Default 5 s.
    pub patience: Duration,
    /// How long the source and id of a message are known. Default 10 min.
    pub window: Duration,
    /// The messages of a topic that are kept although every group is done with them. Default 100,000.
    pub retain: u64,
    /// The most messages of a topic. Default 1,000,000.
    pub most: u64,
    /// The most dead letters of a group. Default 1,000.
    pub dead_letters: u64,
    /// How long a worker that is silent keeps its group. Default 10 s.
    pub lease: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: 0,
            prefix: "ieum:".to_owned(),
            ca: None,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(50),
            patience: Duration::from_secs(5),
            window: Duration::from_secs(600),
            retain: 100_000,
            most: 1_000_000,
            dead_letters: 1_000,
            lease: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Reads the path and the parameters of `url`.
    ///
    /// # Errors
    /// `Url` for a scheme of another engine, a path that is no number, a parameter that does not
    /// exist or whose value makes no sense.
    pub fn from_url(url: &EngineUrl) -> Result<Self> {
        let reader = Reader { url };
        if !crate::SCHEMES.contains(&url.scheme()) {
            return Err(reader.refuse("the scheme is not `redis` or `rediss`"));
        }
        let mut config = Self::default();
        if !url.path().is_empty() {
            let number = url.path().parse().ok().filter(|n| (0..=1_000).contains(n));
            let why = "the path must be the number of a database, like `/0`";
            config.database = number.ok_or_else(|| reader.refuse(why))?;
        }
        let query = url.rest().split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            reader.parameter(&mut config, name, value)?;
        }
        Ok(config)
    }
}

struct Reader<'a> {
    url: &'a EngineUrl,
}

impl Reader<'_> {
    fn refuse(&self, why: &str) -> Error {
        Error::new(ErrorKind::Url, format!("`{}`: {why}", self.url))
    }

    fn parameter(&self, config: &mut Config, name: &str, value: &str) -> Result<()> {
        match name {
            "prefix" => config.prefix = self.prefix(value)?,
            "ca" => config.ca = Some(value.into()),
            "connect-timeout" => config.connect_timeout = self.time(name, value)?,
            "timeout" => config.timeout = self.time(name, value)?,
            "patience" => config.patience = self.time(name, value)?,
            "window" => config.window = self.time(name, value)?,
            "retain" => config.retain = self.number(name, value)?,
            "most" => config.most = self.number(name, value)?,
            "dead-letters" => config.dead_letters = self.number(name, value)?,
            "lease" => config.lease = self.time(name, value)?,
            _ => {
                let name = ieum_base::redact::text(name);
                let known = "prefix, ca, connect-timeout, timeout, patience, window, retain, most, \
                             dead-letters, lease";
                let why = format!("there is no parameter `{name}`; there are {known}");
                return Err(self.refuse(&why));
            }
        }
        Ok(())
    }

    fn time(&self, name: &str, value: &str) -> Result<Duration> {
        let read = HumanDuration::from_str(value).ok().map(|time| time.0);
        let read = read.filter(|time| (SHORTEST..=LONGEST).contains(time));
        read.ok_or_else(|| self.refuse(&format!("`{name}` must be a time from 1ms to 24h")))
    }

    fn number(&self, name: &str, value: &str) -> Result<u64> {
        let read = value.parse().ok().filter(|n| (1..=MOST).contains(n));
        read.ok_or_else(|| self.refuse(&format!("`{name}` must be a number from 1 to {MOST}")))
    }

    /// A prefix ends with what no name of a topic needs, so that two prefixes never overlap.
    fn prefix(&self, value: &str) -> Result<String> {
        let letters = value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:".contains(&b));
        if letters && value.ends_with(':') && value.len() <= 64 {
            return Ok(value.to_owned());
        }
        Err(self.refuse("`prefix` has letters, digits, `.`, `_` and `:`, and ends with `:`"))
    }
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const MOST: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Config> {
        Config::from_url(&url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_says_everything() {
        let config =
            read("rediss://u:p@cache:6380/3?prefix=shop:&timeout=20ms&most=5").expect("read");
        assert_eq!((config.database, &*config.prefix), (3, "shop:"));
        assert_eq!(
            (config.timeout, config.most),
            (Duration::from_millis(20), 5)
        );
        assert_eq!(read("redis://cache").expect("read"), Config::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_the_password() {
        for (url, why) in [
            ("redis://:hunter2@a/x", "the path must be the number"),
            (
                "redis://:hunter2@a?tiemout=1s",
                "there is no parameter `tiemout`",
            ),
            (
                "redis://:hunter2@a?timeout=never",
                "`timeout` must be a time",
            ),
            ("redis://:hunter2@a?most=0", "`most` must be a number"),
            ("redis://:hunter2@a?prefix=a%20b", "`prefix` has letters"),
            ("amqp://:hunter2@a", "the scheme is not"),
        ] {
            let error = read(url).expect_err(why);
            assert_eq!(error.kind(), ErrorKind::Url);
            let text = format!("{error} {error:?}");
            assert!(text.contains(why) && !text.contains("hunter2"), "{text}");
        }
    }
}
