//! `ieum contract`: put contracts to a provider, and compare two versions of one.
//!
//! The exit status is for scripts: 0 if all is well, 1 if a contract is broken, 2 if it cannot be
//! said, because a file cannot be read or nobody answers.

mod diff;
mod verify;

use std::process::ExitCode;

use super::Outcome;

/// Verify contracts between services, and compare versions of them.
///
/// A contract is a Pact file (versions 1 to 4), an OpenAPI document or a JSON Schema. The exit status is
/// 0 if all is well, 1 if a contract is broken, 2 if it cannot be said.
#[derive(Debug, clap::Args)]
pub(super) struct Contract {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Verify),
    Diff(diff::Diff),
}

impl Contract {
    pub(super) fn run(self) -> Outcome {
        let outcome = match self.command {
            Command::Verify(verify) => verify.run(),
            Command::Diff(diff) => diff.run(),
        };
        Ok(outcome.unwrap_or_else(|error| {
            super::remark(&format_args!("error: {error:#}"));
            ExitCode::from(CANNOT_SAY)
        }))
    }
}

/// The exit status if it cannot be said whether a contract holds.
const CANNOT_SAY: u8 = 2;
