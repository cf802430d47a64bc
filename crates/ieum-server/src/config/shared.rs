//! What several gateways share: where rate limits are counted, and where answers are kept.

use std::path::PathBuf;

use ieum_base::{ByteSize, EngineUrl};
use ieum_resilience::cache;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;
use super::engines::{Engine, Given};
use super::report::Problem;
use super::secret::MissingSecret;

/// `[limits]`: where the rate limits of routes are counted.
///
/// ```toml
/// [limits]
/// url = "redis://redis.internal:6379"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// `redis://…` or `rediss://…` (feature `redis`): all gateways that name it share the limits of
    /// routes that have the same name. While it does not answer each counts alone, by the same quota.
    /// By default each gateway counts alone.
    pub url: Option<String>,
    /// The environment variable with that URL, for one with a password. Not together with `url`.
    pub url_env: Option<String>,
    /// The file with that URL, likewise.
    pub url_file: Option<PathBuf>,
}

/// `[cache]`: where the answers of routes with a `cache` are kept.
///
/// ```toml
/// [cache]
/// entries = 10000
/// size = "64MiB"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Cache {
    /// `redis://…` or `rediss://…` (feature `redis`): all gateways that name it share the answers. While
    /// it does not answer nothing is kept and nothing found. By default each keeps its own in memory.
    pub url: Option<String>,
    /// The environment variable with that URL, for one with a password. Not together with `url`.
    pub url_env: Option<String>,
    /// The file with that URL, likewise.
    pub url_file: Option<PathBuf>,
    /// The most answers in memory. Default 10,000; at least 1. Not with a URL.
    #[schemars(range(min = 1))]
    pub entries: usize,
    /// The most bytes in memory. Default `64MiB`; at least `64KiB`. Not with a URL.
    pub size: ByteSize,
}

impl Default for Cache {
    fn default() -> Self {
        let cache::Config { entries, size, .. } = cache::Config::default();
        Self {
            url: None,
            url_env: None,
            url_file: None,
            entries,
            size,
        }
    }
}

/// The engines that processes share.
pub(crate) const SHARED: &[Engine] = &[Engine {
    name: "Redis",
    schemes: &["redis", "rediss"],
    feature: Some("redis"),
    is_built_in: cfg!(feature = "redis"),
}];

impl Config {
    /// Where rate limits are counted, with its password; `None` for each process alone.
    ///
    /// # Errors
    /// As [`Self::log_url`].
    pub fn limits_url(&self) -> Result<Option<EngineUrl>, MissingSecret> {
        self.limits.given().url(self)
    }

    /// Where answers are kept, with its password; `None` for each process' memory.
    ///
    /// # Errors
    /// As [`Self::log_url`].
    pub fn cache_url(&self) -> Result<Option<EngineUrl>, MissingSecret> {
        self.cache.given().url(self)
    }
}

impl Limits {
    fn given(&self) -> Given<'_> {
        Given {
            section: "limits",
            text: self.url.as_deref(),
            env: self.url_env.as_deref(),
            file: self.url_file.as_deref(),
        }
    }
}

impl Cache {
    /// The bounds of a cache in memory.
    pub(crate) fn bounds(&self) -> cache::Config {
        cache::Config {
            entries: self.entries,
            size: self.size,
            ..cache::Config::default()
        }
    }

    fn given(&self) -> Given<'_> {
        Given {
            section: "cache",
            text: self.url.as_deref(),
            env: self.url_env.as_deref(),
            file: self.url_file.as_deref(),
        }
    }
}

/// What is wrong with `[limits]` and `[cache]`.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    config.limits.given().check(config, SHARED, problems);
    config.cache.given().check(config, SHARED, problems);
    for setting in config.cache.bounds().invalid() {
        let key = format!("cache.{}", setting.field);
        problems.push(Problem::new(format!("`{key}` {}", setting.message)).key(key));
    }
}
