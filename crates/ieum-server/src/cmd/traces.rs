//! `ieum traces`: the latest requests over all services. `ieum trace` shows one.

use ieum_remote::wire::paths;
use ieum_remote::wire::traces::{ListTraces, Traces as Body};

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::table;

/// List the latest traces, the latest first.
#[derive(Debug, clap::Args)]
pub(super) struct Traces {
    /// Only those that this service took part in.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only those in which something failed (`true`, or no value), or nothing did (`false`).
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    failed: Option<bool>,
    /// Only those about this order or saga.
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    /// The most to list, 1 to 1000. Default 100.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

impl Traces {
    pub(super) fn run(self) -> Outcome {
        let query = ListTraces {
            service: self.service,
            failed: self.failed,
            about: self.about,
            limit: self.limit,
        };
        let path = paths::with_query(paths::TRACES, &query);
        show(&self.asking, &path, |body: &Body| {
            Shown::rows(body.traces.is_empty(), render(body), "no trace is kept")
        })
    }
}

fn render(body: &Body) -> String {
    let rows = body.traces.iter().map(|trace| {
        [
            trace.trace_id.to_string(),
            trace.start.to_string(),
            trace.service.clone(),
            trace.name.clone(),
            trace.duration_ms.to_string(),
            trace.spans.to_string(),
            if trace.failed { "failed" } else { "" }.to_owned(),
        ]
    });
    table(
        ["TRACE", "START", "SERVICE", "NAME", "MS", "SPANS", "STATE"],
        rows,
    )
}
