//! The log subscriber of the process, the one thing that has to be global.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::format::Json;
use super::forward::Forward;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object: for collectors.
    Json,
    /// Words and colours: for people.
    Text,
}

impl LogFormat {
    /// `IEUM_LOG_FORMAT` (`json` or `text`); otherwise text on a terminal and JSON elsewhere.
    pub fn from_env() -> Self {
        match std::env::var("IEUM_LOG_FORMAT").as_deref() {
            Ok("json") => Self::Json,
            Ok("text") => Self::Text,
            _ if stderr().is_terminal() => Self::Text,
            _ => Self::Json,
        }
    }
}

/// The log of a process.
#[derive(Debug)]
pub struct Log {
    /// The service in lines that name none.
    pub service: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Which events are logged.
    pub filter: EnvFilter,
    /// Which events exporters, and a platform in this process, are given.
    pub forwarded: EnvFilter,
}

/// Starts the log of the process.
///
/// # Errors
/// If somebody else logs already, which is as good where several services live in one process.
pub fn start(log: Log) -> Result<(), TryInitError> {
    let Log {
        service,
        format,
        filter,
        forwarded,
    } = log;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => {
            let service = Arc::from(service);
            Box::new(
                fmt::layer()
                    .event_format(Json { service })
                    .with_writer(stderr),
            )
        }
        LogFormat::Text => {
            let colours = stderr().is_terminal();
            Box::new(fmt::layer().with_ansi(colours).with_writer(stderr))
        }
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(Forward.with_filter(forwarded))
        .try_init()
}
