//! The reference e-commerce system that runs on ieum and proves it.

mod audit;
mod cli;
mod cmd;
mod demo;
mod services;
mod support;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

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
#[tokio::main]
async fn run(cli: Cli) -> Result<bool> {
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    // An error says that one is installed already, which is as good.
    let _ = provider.install_default();
    match cli.command {
        Command::Demo(args) => {
            log_warnings();
            Box::pin(cmd::demo::run(&args)).await
        }
        Command::Serve(args) => {
            ieum::chassis::telemetry::init("shop");
            cmd::serve::run(&args).await
        }
        Command::Audit(args) => cmd::audit::run(&args).await,
    }
}

/// Logs what goes wrong, on standard error: a demo's own words are for people. `IEUM_LOG` says
/// otherwise.
fn log_warnings() {
    let filter = EnvFilter::try_from_env("IEUM_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // An error says that somebody logs already, which is as good.
    let _ = lines.try_init();
}
