//! `ieum streams`: the streams of the log that were written to last. `ieum events` reads one.

use ieum_eventstore::Position;
use ieum_remote::wire::log::{ListStreams, Streams as Body};
use ieum_remote::wire::paths;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::table;

/// List the streams of the log, the one with the latest event first.
#[derive(Debug, clap::Args)]
pub(super) struct Streams {
    /// Only streams whose names begin with this.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only streams whose last event lies before this position: where an earlier list ended.
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// The most to list, 1 to 1000. Default 100.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

impl Streams {
    pub(super) fn run(self) -> Outcome {
        let query = ListStreams {
            prefix: self.prefix,
            limit: self.limit,
            after: self.after.map(Position),
        };
        let path = paths::with_query(paths::STREAMS, &query);
        show(&self.asking, &path, |body: &Body| {
            Shown::rows(body.streams.is_empty(), render(body), "no stream")
        })
    }
}

fn render(body: &Body) -> String {
    let rows = body.streams.iter().map(|stream| {
        [
            stream.stream.to_string(),
            stream.version.to_string(),
            stream.last_at.map_or_else(String::new, |at| at.to_string()),
        ]
    });
    let mut text = table(["STREAM", "VERSION", "LAST EVENT"], rows);
    if let Some(next) = body.next {
        text.push_str(&format!("\nmore with --after {next}"));
    } else if !body.whole {
        text.push_str("\nolder streams are not listed: `ieum events NAME` reads one by its name");
    }
    text
}
