//! `ieum contract diff`: what changed between two versions of a contract, and what of it breaks others.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ieum_contract::diff;

use crate::cmd::print;
use crate::console::{Lines, print_json};

/// Compare two versions of a contract: two Pact files, two OpenAPI documents, or two JSON Schemas.
///
/// Each change is named with its field, and whether it breaks who relies on the old version. For an
/// OpenAPI document those are the callers: a response field that is gone breaks them, a new one does not;
/// a request field that became required does. For a Pact it is the provider: a need that is new breaks
/// it. The exit status is 1 if a change breaks.
///
/// Example: ieum contract diff openapi.json openapi.new.json
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The version that others rely on.
    old: PathBuf,
    /// The version that is to replace it.
    new: PathBuf,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode> {
        let changes = diff::files(&self.old, &self.new)?;
        match self.json {
            true => print_json(&changes, Lines::Many)?,
            false => print(&changes)?,
        };
        Ok(ExitCode::from(u8::from(changes.breaks())))
    }
}
