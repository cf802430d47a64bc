//! What this process tells others: its spans to the platform that it follows, and everything to the
//! collector that the environment names (`OTEL_…`).

use std::sync::Arc;
use std::time::Duration;

use ieum_base::trace::{Propagators, SpanSink};
use ieum_base::{Clock, EngineUrl};
use ieum_telemetry::otlp::{self, Exporter, MetricsText, Outcomes, Settings};

use crate::config::Config;

/// The exporter of this process, if there is anywhere to export to.
pub(super) struct Exports {
    exporter: Option<Exporter>,
    propagators: Propagators,
}

impl Exports {
    /// Starts what the environment asks for, and sends spans to the platform at `followed`.
    pub(super) fn start(config: &Config, followed: Option<&EngineUrl>) -> Self {
        let settings = Settings::from_env();
        let propagators = config.telemetry.propagators;
        Self {
            propagators: propagators.unwrap_or(settings.propagators),
            exporter: Exporter::start(&otlp::Config {
                platform: followed.and_then(platform),
                platform_token: followed.and_then(|url| url.password().cloned()),
                settings,
                ..otlp::Config::new(SERVICE)
            }),
        }
    }

    /// What spans are recorded into.
    pub(super) fn sink(&self) -> Option<Arc<dyn SpanSink>> {
        let exporter = self.exporter.as_ref()?.clone();
        Some(Arc::new(exporter))
    }

    /// The formats in which contexts go into outgoing requests.
    pub(super) const fn propagators(&self) -> Propagators {
        self.propagators
    }

    /// What became of what was exported.
    pub(super) fn outcomes(&self) -> Option<Outcomes> {
        self.exporter.as_ref().map(|e| e.outcomes().clone())
    }

    /// Has the exporter read what `/metrics` shows.
    pub(super) fn read_metrics(&self, text: &MetricsText, clock: &Clock) {
        if let Some(exporter) = &self.exporter {
            exporter.read_metrics(Arc::clone(text), clock);
        }
    }

    /// Sends what is waiting; called when nothing records any more.
    pub(super) async fn flush(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.shut_down(FLUSH_LIMIT).await;
        }
    }
}

/// The URL of a platform, the first of several; `None`, if it is none but a Consul agent.
fn platform(url: &EngineUrl) -> Option<String> {
    let scheme = match url.scheme() {
        ieum_remote::SCHEME => "http",
        ieum_remote::SCHEME_TLS => "https",
        _ => return None,
    };
    let address = url.rest().trim_end_matches('/').split(',').next()?;
    Some(format!("{scheme}://{address}"))
}

/// The name of the process in its metrics and logs.
const SERVICE: &str = "ieum";
/// The longest wait for those who take what is left, at the stop.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
