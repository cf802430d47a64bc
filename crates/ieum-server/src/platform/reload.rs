//! Another configuration for a platform that runs: whole or not at all.
//!
//! What can change is the gateway's: routes, limits, keys. All else was built into threads, files and
//! sockets at the start; a file that changes it is refused with the place of each such key, because
//! half a change is a state that nobody wrote down.

use std::sync::{Mutex, PoisonError};

use ieum_gateway::{Handle, Warning};

use super::gateway;
use crate::config::{Config, Problem, Report};

/// What a running platform was last told.
#[derive(Debug)]
pub(super) struct Live {
    gateway: Option<Handle>,
    present: Mutex<Config>,
}

impl Live {
    pub(super) const fn new(gateway: Option<Handle>, present: Config) -> Self {
        Self {
            gateway,
            present: Mutex::new(present),
        }
    }

    pub(super) fn reload(&self, config: Config) -> Result<Vec<Warning>, Report> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fixed: Vec<String> = fixed(&present, &config);
        if let Some(gateway) = &self.gateway {
            let of_gateway = gateway.needs_restart(&config.gateway).into_iter();
            fixed.extend(of_gateway.map(|warning| warning.path));
        }
        if !fixed.is_empty() {
            return Err(config
                .source
                .report(fixed.into_iter().map(refusal).collect()));
        }
        let warnings = match &self.gateway {
            Some(gateway) => gateway
                .reload(config.gateway.clone())
                .map_err(|errors| config.source.report(gateway::problems(errors)))?,
            None => Vec::new(),
        };
        *present = config;
        Ok(warnings)
    }
}

fn refusal(key: String) -> Problem {
    Problem::new(format!("`{key}` cannot change while the process runs"))
        .key(key)
        .help("restart it, or take the change back; nothing of this file was taken over")
}

/// The keys outside the gateway that differ.
fn fixed(before: &Config, after: &Config) -> Vec<String> {
    let changed = platform(before, after)
        .into_iter()
        .chain(others(before, after));
    let changed = changed.filter(|(_, differs)| *differs);
    changed.map(|(key, _)| key.to_owned()).collect()
}

fn platform(before: &Config, after: &Config) -> [(&'static str, bool); 11] {
    let (a, b) = (&before.platform, &after.platform);
    [
        ("platform.listen", a.listen != b.listen),
        ("platform.token-env", a.token_env != b.token_env),
        ("platform.token-file", a.token_file != b.token_file),
        ("platform.advertise", a.advertise != b.advertise),
        ("platform.allowed-hosts", a.allowed_hosts != b.allowed_hosts),
        ("platform.data-dir", a.data_dir != b.data_dir),
        ("platform.roles", a.roles != b.roles),
        (
            "platform.worker-threads",
            a.worker_threads != b.worker_threads,
        ),
        ("platform.max-body", a.max_body != b.max_body),
        ("platform.linger", a.linger != b.linger),
        ("platform.drain", a.drain != b.drain),
    ]
}

fn others(before: &Config, after: &Config) -> Vec<(&'static str, bool)> {
    let (a, b) = (&before.registry, &after.registry);
    let (c, d) = (&before.sagas, &after.sagas);
    let (e, f) = (&before.telemetry, &after.telemetry);
    vec![
        ("log", before.log != after.log),
        ("topics", before.topics != after.topics),
        ("limits", before.limits != after.limits),
        ("cache", before.cache != after.cache),
        ("registry.url", a.url != b.url),
        ("registry.token-env", a.token_env != b.token_env),
        ("registry.token-file", a.token_file != b.token_file),
        ("registry.remember", a.remember != b.remember),
        ("registry.instances", a.instances != b.instances),
        ("registry.checks", a.checks != b.checks),
        ("registry.lease", a.lease != b.lease),
        ("registry.endpoints", a.endpoints != b.endpoints),
        ("sagas.definitions", c.definitions != d.definitions),
        ("sagas.inline", c.inline != d.inline),
        ("sagas.engine", c.engine != d.engine),
        ("telemetry.traces", e.traces != f.traces),
        ("telemetry.log", e.log != f.log),
    ]
}
