//! `ieum schema`: prints the JSON Schema of `ieum.toml`, for editors.

use std::process::ExitCode;

use super::Outcome;
use crate::config::Config;
use crate::console::{Lines, print_json};

/// Print the JSON Schema of the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Schema {}

impl Schema {
    #[expect(
        clippy::unused_self,
        reason = "every command has the same method, also one without arguments"
    )]
    pub(super) fn run(self) -> Outcome {
        let schema = schemars::schema_for!(Config);
        print_json(&schema, Lines::Many)?;
        Ok(ExitCode::SUCCESS)
    }
}
