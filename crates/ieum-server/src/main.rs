//! The binary `ieum`.

use std::process::ExitCode;

use clap::Parser;
use ieum_server::cmd::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
