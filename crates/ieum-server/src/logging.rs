//! The log of the process, on standard error.

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogOutput};

/// Starts logging as `output` asks; `RUST_LOG` wins.
pub(crate) fn init(output: &LogOutput) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(&output.level));
    let filter = filter.context("`telemetry.log.level` is not a log level")?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match output.format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let colours = std::io::stderr().is_terminal();
            builder.with_ansi(colours).finish().try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.context("logging was started twice")
}
