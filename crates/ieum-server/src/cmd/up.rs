//! `ieum up`: runs the platform until it is told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use ieum_base::Stop;

use super::Outcome;
use crate::config::{self, Config};
use crate::platform::{Ended, Platform, Running};
use crate::{logging, signals};

/// Run the platform: gateway, registry, log, sagas and their API.
#[derive(Debug, clap::Args)]
pub(super) struct Up {
    /// The configuration. Without it `ieum.toml` is used if it is there; every key has a default.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The configuration that is used if it is there.
const DEFAULT_FILE: &str = "ieum.toml";

impl Up {
    pub(super) fn run(self) -> Outcome {
        let config = match self.load() {
            Ok(config) => config,
            Err(report) => {
                super::remark(&report);
                return Ok(ExitCode::FAILURE);
            }
        };
        logging::init(&config.telemetry.log)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        runtime.block_on(run(config))
    }

    fn load(&self) -> Result<Config, config::Report> {
        match &self.config {
            Some(file) => config::load(file),
            None if Path::new(DEFAULT_FILE).exists() => config::load(Path::new(DEFAULT_FILE)),
            None => Ok(Config::default()),
        }
    }
}

async fn run(config: Config) -> Outcome {
    let stop = Stop::new();
    // Signals first: a stop that comes while the log is being opened is heard too.
    let signals = signals::listen(stop.clone())?;
    let running = match Platform::start(config, stop).await {
        Ok(running) => running,
        Err(error) => {
            super::remark(&error);
            return Ok(ExitCode::FAILURE);
        }
    };
    greet(&running);
    let ended = tokio::select! {
        ended = running.wait() => ended,
        () = signals.second() => {
            super::remark(&"a second signal: stopped at once");
            return Ok(ExitCode::from(EXIT_FORCED));
        }
    };
    Ok(farewell(&ended))
}

/// The exit status after a second signal: 128 + SIGINT, as shells have it.
const EXIT_FORCED: u8 = 130;

fn greet(running: &Running) {
    super::remark(&format_args!("ieum {} is up", env!("CARGO_PKG_VERSION")));
    if let Some(gateway) = running.gateway_addr {
        super::remark(&format_args!("  gateway       http://{gateway}"));
    }
    super::remark(&format_args!(
        "  platform API  http://{}  (Consul's API below /v1/)",
        running.api_addr
    ));
    super::remark(&format_args!("  log           {}", running.log));
    for moved in &running.moved {
        super::remark(&format_args!(
            "  note: {} was taken, so the {} is on {}",
            moved.from,
            moved.what,
            moved.to.port()
        ));
    }
    super::remark(&"  stop with Ctrl-C");
}

fn farewell(ended: &Ended) -> ExitCode {
    for abandoned in &ended.abandoned {
        super::remark(&format_args!(
            "abandoned at the stop: {} × {}",
            abandoned.count, abandoned.name
        ));
    }
    match &ended.failure {
        Some(failure) => {
            super::remark(&format_args!("error: {failure}; see the log lines above"));
            ExitCode::FAILURE
        }
        None => {
            super::remark(&"stopped");
            ExitCode::SUCCESS
        }
    }
}
