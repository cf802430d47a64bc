//! `ieum doctor`: looks at every engine that a configuration names.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use ieum_base::Level;

use super::Outcome;
use super::up::{DEFAULT_FILE, Settings};
use crate::config::{self, Config};
use crate::console::{Lines, print_json};
use crate::doctor;

/// Look at every configured engine: does it answer, is it the right version, what weakens a promise?
///
/// The log, the broker of the topics, and the registry that is followed. Nothing is changed, and it may
/// be asked while a platform runs. The status is 1 if something is broken, with --strict also if a
/// promise is weaker than it could be.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// The configuration. Without it `ieum.toml` is used if it is there; every key has a default.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fail for what is weak, too.
    #[arg(long)]
    strict: bool,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Doctor {
    pub(super) fn run(self) -> Outcome {
        let config = match self.load() {
            Ok(config) => config,
            Err(report) => {
                super::remark(&report);
                return Ok(ExitCode::FAILURE);
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        let diagnosis = runtime.block_on(doctor::examine(&config));
        match self.json {
            true => print_json(&diagnosis, Lines::Many)?,
            false => super::print(&doctor::render(&diagnosis))?,
        };
        let fails = match diagnosis.worst {
            Level::Broken => true,
            Level::Weak => self.strict,
            Level::Fine => false,
        };
        Ok(if fails {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    fn load(&self) -> Result<Config, config::Report> {
        let default = Path::new(DEFAULT_FILE);
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => default.exists().then_some(default),
        };
        config::load_with(file, &self.settings.overrides())
    }
}
