//! The reference e-commerce system that runs on ieum and proves it.

mod audit;
mod cli;
mod cmd;
mod demo;
mod proto;
mod services;
mod support;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use ieum::chassis::telemetry::{self, LogFormat};

use self::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            ieum_server::console::remark(&format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// True if all is well.
fn run(cli: Cli) -> Result<bool> {
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    // An error says that one is installed already, which is as good.
    let _ = provider.install_default();
    match cli.command {
        Command::Demo(args) => {
            log_warnings();
            block_on(Box::pin(cmd::demo::run(&args)))
        }
        Command::Serve(args) => {
            telemetry::init("shop");
            block_on(cmd::serve::run(&args))
        }
        Command::Audit(args) => block_on(cmd::audit::run(&args)),
        // The platform brings a runtime of its own.
        Command::Platform(args) => cmd::platform::run(&args),
    }
}

fn block_on(work: impl Future<Output = Result<bool>>) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("no runtime can be started")?.block_on(work)
}

/// Logs what goes wrong, on standard error: a demo's own words are for people. `IEUM_LOG` says
/// otherwise.
fn log_warnings() {
    telemetry::init_filtered("shop", LogFormat::Text, "warn");
}
