//! `shop platform`: what `ieum up` does, from the shop's own binary, so that a demo of many processes
//! is built by one command.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use ieum_server::cmd;

use super::lifeline;
use crate::cli::PlatformArgs;

/// Runs the platform until a signal. True if it ended well.
pub(crate) fn run(args: &PlatformArgs) -> Result<bool> {
    if args.lifeline {
        lifeline::hold()?;
    }
    let words = ["ieum", "up", "--config"].map(OsString::from);
    let line = words.into_iter().chain([args.config.clone().into()]);
    let up = cmd::Cli::try_parse_from(line)?;
    Ok(up.run() == ExitCode::SUCCESS)
}
