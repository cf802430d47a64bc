//! Logs: one line per event on standard error, JSON unless a person watches.

use ieum_telemetry::logs::{self, Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging for the process, in the format of the environment. `IEUM_LOG` filters, like
/// `info,ieum_saga=debug`; the default is [`DEFAULT_FILTER`]. Only the first call of a process
/// counts: several services may live in one.
pub fn init(service: &str) {
    init_with(service, LogFormat::from_env());
}

/// As [`init`], with a format that is given.
pub fn init_with(service: &str, format: LogFormat) {
    init_filtered(service, format, DEFAULT_FILTER);
}

/// As [`init_with`], with what is logged where `IEUM_LOG` says nothing. What the platform and collectors
/// are sent is not less than [`DEFAULT_FILTER`] for it.
pub fn init_filtered(service: &str, format: LogFormat, default: &str) {
    let filter = |default: &str| {
        let asked = EnvFilter::try_from_env("IEUM_LOG");
        asked.unwrap_or_else(|_| default.into())
    };
    let started = logs::start(Log {
        service: service.to_owned(),
        format,
        filter: filter(default),
        forwarded: filter(DEFAULT_FILTER),
    });
    // An error means that somebody else logs already, which is as good.
    if started.is_ok() {
        tracing::debug!(service, "logging started");
    }
}

/// Our own words from `info` on, those of libraries from `warn` on.
const DEFAULT_FILTER: &str = "info,hyper=warn,h2=warn,rustls=warn,tower=warn";
