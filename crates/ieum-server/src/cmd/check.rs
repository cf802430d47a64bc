//! `ieum check`: reads a configuration and says what is wrong with it, all at once.

use std::path::PathBuf;
use std::process::ExitCode;

use ieum_gateway::Warning;

use super::Outcome;
use super::up::Settings;
use crate::config::{self, Config, Role};

/// Check a configuration without starting anything.
///
/// Who has a log may have every role: one process if it is a file of SQLite, several if it is in
/// PostgreSQL. Any number of others are gateways (`--roles gateway`) that follow their registry
/// (`--registry URL`).
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "ieum.toml")]
    config: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        match config::load_with(Some(&self.config), &self.settings.overrides()) {
            Ok(config) => {
                config.gateway.warnings().iter().for_each(warn);
                super::print(&summary(&self.config.display().to_string(), &config))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(report) => {
                super::remark(&report);
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// Says what is accepted and probably not meant so.
pub(super) fn warn(warning: &Warning) {
    super::remark(&format_args!(
        "warning: {}\n  = key: {}",
        warning.message, warning.path
    ));
}

fn summary(file: &str, config: &Config) -> String {
    let roles = Role::ALL.into_iter();
    let roles = roles.filter(|role| config.platform.plays(*role));
    let roles: Vec<_> = roles.map(Role::name).collect();
    let definitions = config.sagas.inline.len() + config.sagas.definitions.len();
    format!(
        "{file} is valid: roles {}; {}; {} routes, {} configured instances, {} saga sources",
        roles.join(", "),
        config.part(),
        config.gateway.routes.len(),
        config.registry.instances.len(),
        definitions,
    )
}
