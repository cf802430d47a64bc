//! Logs: one line per event on standard error, JSON unless a person watches.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

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

/// Starts logging for the process, in the format of the environment. `IEUM_LOG` filters, like
/// `info,ieum_saga=debug`; the default is [`DEFAULT_FILTER`]. Only the first call of a process
/// counts: several services may live in one.
pub fn init(service: &str) {
    init_with(service, LogFormat::from_env());
}

/// As [`init`], with a format that is given.
pub fn init_with(service: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("IEUM_LOG").unwrap_or_else(|_| DEFAULT_FILTER.into());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // An error means that somebody else logs already, which is as good.
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
    if started.is_ok() {
        tracing::debug!(service, "logging started");
    }
}

/// Our own words from `info` on, those of libraries from `warn` on.
const DEFAULT_FILTER: &str = "info,hyper=warn,h2=warn,rustls=warn,tower=warn";
