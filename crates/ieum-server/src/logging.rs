//! The log of the process, on standard error.

use anyhow::Context;
use ieum_telemetry::logs::{self, Log};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogOutput};

/// Starts logging as `output` asks; `RUST_LOG` wins.
pub(crate) fn init(output: &LogOutput) -> anyhow::Result<()> {
    let filter = || {
        let asked = EnvFilter::try_from_default_env();
        let filter = asked.or_else(|_| EnvFilter::try_new(&output.level));
        filter.context("`telemetry.log.level` is not a log level")
    };
    let log = Log {
        service: "ieum".to_owned(),
        format: match output.format {
            LogFormat::Text => logs::LogFormat::Text,
            LogFormat::Json => logs::LogFormat::Json,
        },
        filter: filter()?,
        forwarded: filter()?,
    };
    logs::start(log).context("logging was started twice")
}
