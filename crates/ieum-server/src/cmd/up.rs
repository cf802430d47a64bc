//! `ieum up`: runs the platform until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use ieum_base::Stop;

use super::Outcome;
use crate::config::{self, Config, Overrides, Role};
use crate::logging;
use crate::platform::{Ended, Handle, Platform, Running};
use crate::signals::{self, Stops};

/// Run the platform: gateway, registry, log, sagas and their API.
///
/// One process owns a log that is a file (`platform.data-dir`) and may have every role; a log in
/// PostgreSQL (`log.url`) is shared by any number of them, which take turns at what one must do alone
/// (`ieum platforms` shows who). Any number of others may be gateways that follow their registry:
/// `ieum up --roles gateway --registry ieum://HOST:8500` (several: ieum://ONE,TWO,THREE). They own
/// no log, and when the platform is away they go on with the last known endpoints, also after a
/// restart (they are kept in `endpoints-PORT.json` in the data folder). They tell the platform their
/// spans.
///
/// SIGTERM: `/health` answers 503 `stopping` and requests are still taken for `platform.linger`; then
/// nothing is accepted any more and what is running may finish within `platform.drain` and
/// `gateway.timeouts.drain`. Ctrl-C: the same without the linger. A second signal stops at once, with
/// status 130. SIGHUP: reads the configuration again and takes over the gateway's routes, limits and
/// keys; one that is wrong, or changes anything else, is refused whole.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Up {
    /// The configuration. Without it `ieum.toml` is used if it is there; every key has a default.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What the command line says in place of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Settings {
    /// What this process does, in place of `platform.roles`: gateway, registry, sagas.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Option<Vec<Role>>,
    /// Where the platform API listens, in place of `platform.listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the gateway listens, in place of `gateway.listen`.
    #[arg(long, value_name = "ADDRESS")]
    gateway_listen: Option<SocketAddr>,
    /// Which registry to follow, in place of `registry.url`: ieum://HOST:PORT (several platforms on one
    /// log are joined by commas) or consul://HOST:PORT.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
}

/// The configuration that is used if it is there.
pub(super) const DEFAULT_FILE: &str = "ieum.toml";

impl Settings {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            roles: self.roles.clone(),
            listen: self.listen,
            gateway_listen: self.gateway_listen,
            registry: self.registry.clone(),
        }
    }
}

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
        runtime.block_on(self.serve(config))
    }

    fn load(&self) -> Result<Config, config::Report> {
        let default = Path::new(DEFAULT_FILE);
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => default.exists().then_some(default),
        };
        config::load_with(file, &self.settings.overrides())
    }

    async fn serve(&self, config: Config) -> Outcome {
        let stops = Stops {
            retire: Stop::new(),
            stop: Stop::new(),
            linger: config.platform.linger.0,
        };
        // Signals first: a stop that comes while the log is being opened is heard too.
        let mut signals = signals::listen(stops.clone())?;
        let running = match Platform::start(config, stops.stop).await {
            Ok(running) => running,
            Err(error) => {
                super::remark(&error);
                return Ok(ExitCode::FAILURE);
            }
        };
        greet(&running);
        let handle = running.handle();
        let mut ended = std::pin::pin!(running.wait());
        let mut second = std::pin::pin!(signals.second());
        let mut retired = std::pin::pin!(stops.retire.requested());
        let mut is_retired = false;
        loop {
            tokio::select! {
                ended = &mut ended => return Ok(farewell(&ended)),
                () = &mut second => {
                    super::remark(&"a second signal: stopped at once");
                    return Ok(ExitCode::from(EXIT_FORCED));
                }
                () = &mut retired, if !is_retired => {
                    is_retired = true;
                    handle.retire();
                }
                () = signals.hangup() => self.reload(&handle),
            }
        }
    }

    fn reload(&self, handle: &Handle) {
        match self.load().and_then(|config| handle.reload(config)) {
            Ok(warnings) => {
                super::remark(&"the configuration was read again and is in force");
                warnings.iter().for_each(super::check::warn);
            }
            Err(report) => {
                super::remark(&"the configuration was read again and refused; the old one stays");
                super::remark(&report);
            }
        }
    }
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
    if let Some(topics) = &running.topics {
        super::remark(&format_args!("  topics        {topics}"));
    }
    for caveat in &running.caveats {
        super::remark(&format_args!("  note: topics: {caveat}"));
    }
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
