//! The command line: one file per command, each with its arguments and `run`.
//!
//! A command parses into plain values and only then does something. What it finds goes to standard
//! output; remarks and errors go to standard error, with an exit status of 1.

mod answer;
mod breakers;
mod check;
#[cfg(feature = "contract")]
mod contract;
mod dead_letters;
mod doctor;
mod events;
mod health;
mod impact;
mod overview;
mod platform;
mod platforms;
#[cfg(test)]
mod reference;
mod routes;
mod sagas;
mod schema;
mod services;
mod streams;
mod table;
mod topics;
mod trace;
mod traces;
mod twins;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::console::{print, remark};

pub(crate) use twins::twin;

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
    Overview(overview::Overview),
    Services(services::Services),
    Routes(routes::Routes),
    Breakers(breakers::Breakers),
    Sagas(sagas::Sagas),
    Streams(streams::Streams),
    Events(events::Events),
    Topics(topics::Topics),
    Groups(topics::Groups),
    DeadLetters(dead_letters::DeadLetters),
    Traces(traces::Traces),
    Trace(trace::Trace),
    Impact(impact::Impact),
    Platforms(platforms::Platforms),
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
            Command::Overview(overview) => overview.run(),
            Command::Services(services) => services.run(),
            Command::Routes(routes) => routes.run(),
            Command::Breakers(breakers) => breakers.run(),
            Command::Sagas(sagas) => sagas.run(),
            Command::Streams(streams) => streams.run(),
            Command::Events(events) => events.run(),
            Command::Topics(topics) => topics.run(),
            Command::Groups(groups) => groups.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Traces(traces) => traces.run(),
            Command::Trace(trace) => trace.run(),
            Command::Impact(impact) => impact.run(),
            Command::Platforms(platforms) => platforms.run(),
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
}
