//! `ieum breakers`: which circuit breakers are open, and what changed them.

use ieum_remote::wire::breakers::{Breakers as Body, ListBreakers};
use ieum_remote::wire::paths;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{percent, short, table};

/// List circuit breakers, those that changed last first.
#[derive(Debug, clap::Args)]
pub(super) struct Breakers {
    /// The most to list, 1 to 1000. Default 100.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

impl Breakers {
    pub(super) fn run(self) -> Outcome {
        let query = ListBreakers { limit: self.limit };
        let path = paths::with_query(paths::BREAKERS, &query);
        show(&self.asking, &path, |body: &Body| {
            Shown::rows(
                body.breakers.is_empty(),
                render(body),
                "no breaker is known",
            )
        })
    }
}

fn render(body: &Body) -> String {
    let rows = body.breakers.iter().map(|breaker| {
        let last = breaker.changes.first();
        [
            breaker.owner.clone(),
            breaker.service.clone(),
            breaker.target.clone(),
            breaker.state.as_str().to_owned(),
            breaker.since.to_string(),
            format!("{}/{}", breaker.failures, breaker.calls),
            percent(breaker.failure_rate),
            short(last.map_or("", |change| &change.reason), 50),
        ]
    });
    table(
        [
            "OWNER", "SERVICE", "TARGET", "STATE", "SINCE", "FAILED", "RATE", "WHY",
        ],
        rows,
    )
}
