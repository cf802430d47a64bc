//! `ieum check`: reads a configuration and says what is wrong with it, all at once.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Outcome;
use crate::config::{self, Config, Role};

/// Check a configuration without starting anything.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "ieum.toml")]
    config: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        match config::load(&self.config) {
            Ok(config) => {
                for warning in config.gateway.warnings() {
                    super::remark(&format_args!(
                        "warning: {}\n  = key: {}",
                        warning.message, warning.path
                    ));
                }
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

fn summary(file: &str, config: &Config) -> String {
    let roles: Vec<_> = [
        (Role::Gateway, "gateway"),
        (Role::Registry, "registry"),
        (Role::Sagas, "sagas"),
    ]
    .into_iter()
    .filter(|(role, _)| config.platform.plays(*role))
    .map(|(_, name)| name)
    .collect();
    let definitions = config.sagas.inline.len() + config.sagas.definitions.len();
    format!(
        "{file} is valid: roles {}; {} routes, {} configured instances, {} saga sources",
        roles.join(", "),
        config.gateway.routes.len(),
        config.registry.instances.len(),
        definitions,
    )
}
