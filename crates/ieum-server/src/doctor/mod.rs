//! `ieum doctor`: what every configured engine is asked, before or while a platform runs.
//!
//! Each engine's crate says what it finds ([`Finding`]); here they are found in the configuration, asked
//! at the same time, each with a deadline, and shown.

mod engines;
mod registry;
mod show;

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{EngineUrl, Finding, Level};
use serde::Serialize;

use crate::config::{Config, Home};

pub use show::render;

/// One engine and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    /// What it is used for: `log`, `topics`, …
    pub part: &'static str,
    /// Its name.
    pub engine: String,
    /// Where it is, without a password.
    pub url: String,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The worst finding.
    pub worst: Level,
    /// The engines.
    pub engines: Vec<Examined>,
}

/// An engine that does not say how it is within this time is broken. Several attempts to connect fit in.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks every engine that `config` names. Changes nothing.
pub async fn examine(config: &Config) -> Diagnosis {
    let parts = parts(config);
    let engines = join_all(parts.into_iter().map(|part| part.examine(config))).await;
    let findings = engines.iter().flat_map(|engine| &engine.findings);
    let worst = findings.map(|finding| finding.level).max();
    Diagnosis {
        worst: worst.unwrap_or(Level::Fine),
        engines,
    }
}

/// An engine that the configuration names.
struct Part {
    name: &'static str,
    /// `None` for the log's file in the data folder.
    url: Option<EngineUrl>,
}

/// The engines that `config`, which is valid, names; a follower of a registry has no log.
fn parts(config: &Config) -> Vec<Part> {
    let part = |name, url| Part { name, url };
    let mut parts = Vec::new();
    match config.registry.home() {
        Ok(Home::Elsewhere(_)) => {
            let followed = config.followed().ok().flatten();
            parts.extend(followed.map(|url| part("registry", Some(url))));
        }
        _ => {
            parts.push(part("log", config.log_url().ok().flatten()));
            let topics = config.topics_url().ok().flatten();
            parts.extend(topics.map(|url| part("topics", Some(url))));
        }
    }
    let limits = config.limits_url().ok().flatten();
    parts.extend(limits.map(|url| part("limits", Some(url))));
    let cache = config.cache_url().ok().flatten();
    parts.extend(cache.map(|url| part("cache", Some(url))));
    parts
}

impl Part {
    async fn examine(self, config: &Config) -> Examined {
        let Self { name: part, url } = self;
        let shown = match &url {
            Some(url) => url.to_string(),
            None => config.data_file().display().to_string(),
        };
        let engine = engines::name(url.as_ref());
        let examining = engines::examine(config, url.as_ref());
        let findings = match tokio::time::timeout(PATIENCE, examining).await {
            Ok(findings) => findings,
            Err(_) => vec![Finding::broken(
                format!("no answer within {} s", PATIENCE.as_secs()),
                format!("look whether {shown} is up and can be reached from here"),
            )],
        };
        Examined {
            part,
            engine,
            url: shown,
            findings,
        }
    }
}

#[cfg(test)]
mod tests;
