//! `ieum health`: asks a process how it is, for schedulers whose containers have no shell.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ieum_base::{Stop, Tasks, redact};
use ieum_http::HttpClient;

use super::Outcome;

/// Ask a platform, a gateway or a service how it is. The status is 0 if it is healthy, otherwise 1.
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// Its address, like http://127.0.0.1:3001.
    #[arg(
        value_name = "URL",
        env = "IEUM_PLATFORM",
        default_value = "http://127.0.0.1:8500"
    )]
    url: String,
}

/// Longer than this a process that is well does not take.
const PATIENCE: Duration = Duration::from_secs(3);

impl Health {
    pub(super) fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        runtime.block_on(async {
            let http = HttpClient::new(Tasks::new(Stop::new()));
            let url = format!("{}/health", self.url.trim_end_matches('/'));
            let answer = http.get(&url, PATIENCE).await;
            let answer =
                answer.with_context(|| format!("{} does not answer", redact::text(&self.url)))?;
            super::print(&String::from_utf8_lossy(answer.body()))?;
            Ok(match answer.status().is_success() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        })
    }
}
