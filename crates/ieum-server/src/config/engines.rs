//! Which engine keeps the log and which carries the topics: URLs, where one with a password comes
//! from, and what is built in.
//!
//! An engine beyond the embedded ones brings its client library, so it is a feature. A URL of one that
//! is left out is known all the same: the error says how to get it.

use std::path::{Path, PathBuf};

use ieum_base::{EngineUrl, HumanDuration};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;
use super::report::Problem;
use super::secret::{self, MissingSecret};

/// `[log]`: where events, topics and sagas are kept.
///
/// ```toml
/// [log]
/// url = "sqlite://log.db"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Log {
    /// `sqlite://FILE`, `memory:` (forgets everything at the stop), or `postgres://USER@HOST/DATABASE`,
    /// which several platforms may share (feature `postgres`). Default: the file `log.db` in the data
    /// folder.
    pub url: Option<String>,
    /// The environment variable with that URL, for one with a password. Not together with `url`.
    pub url_env: Option<String>,
    /// The file with that URL, likewise.
    pub url_file: Option<PathBuf>,
    /// How long a start waits for an engine that does not answer yet. One that refuses us, by a wrong
    /// password or a missing database, is not waited for. Default `30s`.
    pub wait: HumanDuration,
}

/// `[topics]`: a broker for the topics, in place of the log.
///
/// ```toml
/// [topics]
/// url = "amqp://rabbit.internal:5672"
/// mirror = ["audit.events"]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Topics {
    /// `amqp://…`, `nats://…`, `redis://…`, `kafka://…` or `sqs://…`, each a feature. What is published
    /// through the platform goes there; topics that start sagas, and those of `mirror`, are copied into the
    /// log. By default topics are in the log.
    pub url: Option<String>,
    /// The environment variable with that URL, for one with a password. Not together with `url`.
    pub url_env: Option<String>,
    /// The file with that URL, likewise.
    pub url_file: Option<PathBuf>,
    /// Topics that are copied from the broker into the log beside those that start sagas, so that
    /// groups over HTTP, `ieum events` and audits see them.
    pub mirror: Vec<String>,
    /// How long a start waits for a broker that does not answer yet, as `log.wait`. Default `30s`.
    pub wait: HumanDuration,
}

/// An engine by its URL's scheme.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Engine {
    /// Its name, for people.
    pub(crate) name: &'static str,
    /// The schemes of its URLs.
    pub(crate) schemes: &'static [&'static str],
    /// The feature that brings it; `None` for one that is always there.
    pub(super) feature: Option<&'static str>,
    pub(super) is_built_in: bool,
}

/// The engines that keep a log.
pub(crate) const LOGS: &[Engine] = &[
    Engine::always("SQLite", &["sqlite"]),
    Engine::always("memory", &["memory"]),
    Engine {
        name: "PostgreSQL",
        schemes: &["postgres", "postgresql"],
        feature: Some("postgres"),
        is_built_in: cfg!(feature = "postgres"),
    },
];

/// The engines that carry topics.
pub(crate) const BROKERS: &[Engine] = &[
    Engine {
        name: "RabbitMQ",
        schemes: &["amqp", "amqps"],
        feature: Some("rabbitmq"),
        is_built_in: cfg!(feature = "rabbitmq"),
    },
    Engine {
        name: "NATS JetStream",
        schemes: &["nats"],
        feature: Some("nats"),
        is_built_in: cfg!(feature = "nats"),
    },
    Engine {
        name: "Redis",
        schemes: &["redis", "rediss"],
        feature: Some("redis"),
        is_built_in: cfg!(feature = "redis"),
    },
    Engine {
        name: "Kafka",
        schemes: &["kafka"],
        feature: Some("kafka"),
        is_built_in: cfg!(feature = "kafka"),
    },
    Engine {
        name: "Amazon SNS/SQS",
        schemes: &["sqs"],
        feature: Some("aws"),
        is_built_in: cfg!(feature = "aws"),
    },
];

impl Engine {
    const fn always(name: &'static str, schemes: &'static [&'static str]) -> Self {
        Self {
            name,
            schemes,
            feature: None,
            is_built_in: true,
        }
    }

    /// The engine among `engines` that `url` names; an error says what is wrong and what to do.
    pub(crate) fn of(
        engines: &'static [Self],
        url: &EngineUrl,
    ) -> Result<&'static Self, Box<Problem>> {
        let scheme = url.scheme();
        let engine = engines.iter().find(|e| e.schemes.contains(&scheme));
        let Some(engine) = engine else {
            let known: Vec<_> = engines.iter().flat_map(|e| e.schemes).copied().collect();
            let problem = Problem::new(format!("there is no engine `{scheme}` for this"))
                .help(format!("the schemes here are `{}`", known.join("`, `")));
            return Err(Box::new(problem));
        };
        match engine.feature {
            Some(feature) if !engine.is_built_in => {
                let Self { name, .. } = engine;
                let problem = Problem::new(format!("{name} is not built into this program"));
                Err(Box::new(problem.help(format!(
                    "build it with `cargo build --release -p ieum-server --features {feature}` \
                     (`engines` brings all of them)"
                ))))
            }
            _ => Ok(engine),
        }
    }
}

/// The three keys that may give a URL.
pub(super) struct Given<'a> {
    pub(super) section: &'static str,
    pub(super) text: Option<&'a str>,
    pub(super) env: Option<&'a str>,
    pub(super) file: Option<&'a Path>,
}

impl Given<'_> {
    /// The URL; `None` if no key is set.
    pub(super) fn url(&self, config: &Config) -> Result<Option<EngineUrl>, MissingSecret> {
        let hidden = match (self.text, self.env, self.file) {
            (Some(text), ..) => {
                return text.parse().map(Some).map_err(|error| {
                    let key = self.key();
                    MissingSecret::new(
                        format!("`{key}`: {error}"),
                        "write it like `sqlite://log.db` or `postgres://USER@HOST/DATABASE`",
                    )
                });
            }
            (None, Some(name), _) => secret::from_env(name)?,
            (None, None, Some(path)) => secret::from_file(&config.resolve(path))?,
            (None, None, None) => return Ok(None),
        };
        // What it holds is not shown: it may be anything, such as the password alone.
        hidden.expose().trim().parse().map(Some).map_err(|_| {
            MissingSecret::new(
                "what is there is not the URL of an engine".to_owned(),
                "it holds the whole URL, like `postgres://USER:PASSWORD@HOST/DATABASE`",
            )
        })
    }

    /// The key that counts.
    fn key(&self) -> String {
        let key = match (self.text, self.env) {
            (Some(_), _) => "url",
            (None, Some(_)) => "url-env",
            (None, None) => "url-file",
        };
        format!("{}.{key}", self.section)
    }

    pub(super) fn check(
        &self,
        config: &Config,
        engines: &'static [Engine],
        problems: &mut Vec<Problem>,
    ) {
        let set = [self.text.is_some(), self.env.is_some(), self.file.is_some()];
        if set.iter().filter(|is_set| **is_set).count() > 1 {
            let section = self.section;
            problems.push(
                Problem::new(format!("`{section}` has two URLs"))
                    .key(self.key())
                    .help("keep one of `url`, `url-env` and `url-file`"),
            );
        }
        let key = self.key();
        match self.url(config) {
            Ok(None) => {}
            Ok(Some(url)) if self.text.is_some() && url.password().is_some() => problems.push(
                Problem::new("a password is not written into the configuration")
                    .key(key)
                    .help("put the whole URL into a variable or a file, and name it with `url-env` or `url-file`")
                    .without_value(),
            ),
            Ok(Some(url)) => problems.extend(Engine::of(engines, &url).err().map(|p| (*p).key(key))),
            Err(wrong) => problems.push(
                Problem::new(wrong.to_string())
                    .key(key)
                    .help(wrong.help)
                    .without_value(),
            ),
        }
    }
}

impl Config {
    /// Where the log is, with its password; `None` for the file in the data folder.
    ///
    /// # Errors
    /// If the key that gives it cannot be followed, or what it gives is no URL.
    pub fn log_url(&self) -> Result<Option<EngineUrl>, MissingSecret> {
        self.log.given().url(self)
    }

    /// Where the broker is, with its password; `None` if topics are in the log.
    ///
    /// # Errors
    /// As [`Self::log_url`].
    pub fn topics_url(&self) -> Result<Option<EngineUrl>, MissingSecret> {
        self.topics.given().url(self)
    }

    /// True if other processes may work on the same log.
    pub fn shares_log(&self) -> bool {
        let url = self.log_url().ok().flatten();
        url.is_some_and(|url| url.scheme().starts_with("postgres"))
    }
}

impl Log {
    fn given(&self) -> Given<'_> {
        Given {
            section: "log",
            text: self.url.as_deref(),
            env: self.url_env.as_deref(),
            file: self.url_file.as_deref(),
        }
    }
}

impl Topics {
    fn given(&self) -> Given<'_> {
        Given {
            section: "topics",
            text: self.url.as_deref(),
            env: self.url_env.as_deref(),
            file: self.url_file.as_deref(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            url: None,
            url_env: None,
            url_file: None,
            wait: HumanDuration::from_secs(30),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            url: None,
            url_env: None,
            url_file: None,
            mirror: Vec::new(),
            wait: HumanDuration::from_secs(30),
        }
    }
}

/// What is wrong with `[log]` and `[topics]`.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    config.log.given().check(config, LOGS, problems);
    config.topics.given().check(config, BROKERS, problems);
    let names = config.topics.mirror.iter().enumerate();
    for (index, name) in names {
        if let Err(wrong) = ieum_messaging::names::check_topic(name) {
            let key = format!("topics.mirror[{index}]");
            problems.push(Problem::new(wrong.to_string()).key(key));
        }
    }
    let has_broker = matches!(config.topics_url(), Ok(Some(_)) | Err(_));
    if !has_broker && !config.topics.mirror.is_empty() {
        problems.push(
            Problem::new("there is no broker to copy topics from")
                .key("topics.mirror")
                .help("name it with `topics.url`; without one, topics are in the log anyway"),
        );
    }
}
