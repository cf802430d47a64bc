//! The command line: one file per command, each with its arguments and `run`.
//!
//! A command parses into plain values and only then does something. What it finds goes to standard
//! output; remarks and errors go to standard error, with an exit status of 1.

mod check;
#[cfg(feature = "contract")]
mod contract;
mod doctor;
mod events;
mod health;
mod platform;
mod platforms;
mod sagas;
mod schema;
mod services;
mod table;
mod trace;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::console::{print, remark};

/// The command line of `ieum`.
#[derive(Debug, Parser)]
#[command(
    name = "ieum",
    version,
    about = "Joins services: gateway, registry, log and sagas in one process.",
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Health(health::Health),
    Schema(schema::Schema),
    Platforms(platforms::Platforms),
    Services(services::Services),
    Sagas(sagas::Sagas),
    Events(events::Events),
    Trace(trace::Trace),
    #[cfg(feature = "contract")]
    Contract(contract::Contract),
}

/// What a command ends with.
type Outcome = anyhow::Result<ExitCode>;

impl Cli {
    /// Runs the command; an error is printed.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Up(up) => up.run(),
            Command::Check(check) => check.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Health(health) => health.run(),
            Command::Schema(schema) => schema.run(),
            Command::Platforms(platforms) => platforms.run(),
            Command::Services(services) => services.run(),
            Command::Sagas(sagas) => sagas.run(),
            Command::Events(events) => events.run(),
            Command::Trace(trace) => trace.run(),
            #[cfg(feature = "contract")]
            Command::Contract(contract) => contract.run(),
        };
        outcome.unwrap_or_else(|error| {
            let text = format!("{error:#}");
            let text = text.trim_end();
            if text.starts_with("error:") {
                remark(&text);
            } else {
                remark(&format_args!("error: {text}"));
            }
            ExitCode::FAILURE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_list_speaks_json_and_finds_its_platform() {
        for line in [
            "services",
            "platforms",
            "sagas",
            "events order-1",
            "trace o-1",
        ] {
            let mut words = vec!["ieum"];
            words.extend(line.split(' '));
            words.extend(["--json", "--platform", "http://127.0.0.1:9"]);
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
