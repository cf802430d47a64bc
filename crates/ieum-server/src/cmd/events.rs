//! `ieum events`: the events of one stream, of a category, or of the whole log.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ieum_eventstore::{ErrorKind, Event, EventStore, Filter, Position, StreamName, Version};

use super::Outcome;
use super::platform::Asking;
use super::table::short;
use crate::console::{Lines, one_line, print_json};

/// Print the events of a stream (`order-7`), a category (`order.events`) or, with `--all`, the log.
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// A stream, or a category.
    #[arg(required_unless_present = "all")]
    stream: Option<String>,
    /// The whole log.
    #[arg(long, conflicts_with = "stream")]
    all: bool,
    /// Only events behind this version of the stream, or this position of the log.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Go on and print what is appended, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Reads and prints.
struct Printer {
    store: Arc<dyn EventStore>,
    follow: bool,
    json: bool,
}

/// Events in one answer.
const PAGE: usize = 500;
/// How long the platform waits for more before it answers.
const WAIT: Duration = Duration::from_secs(30);

impl Events {
    pub(super) fn run(self) -> Outcome {
        self.asking.run(async |platform| {
            let printer = Printer {
                store: platform.event_store(),
                follow: self.follow,
                json: self.asking.json,
            };
            let printed = match self.stream.as_deref() {
                Some(name) => match name.parse::<StreamName>() {
                    Ok(stream) => printer.stream(&stream, Version(self.after)).await,
                    Err(_) => {
                        printer
                            .log(Filter::category(name), Position(self.after))
                            .await
                    }
                },
                None => printer.log(Filter::default(), Position(self.after)).await,
            };
            printed.map_err(
                |error| match error.downcast_ref::<ieum_eventstore::Error>() {
                    Some(log) if *log.kind() == ErrorKind::Unavailable => {
                        error.context(self.asking.unreachable())
                    }
                    _ => error,
                },
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Printer {
    async fn stream(&self, stream: &StreamName, mut after: Version) -> anyhow::Result<()> {
        let mut empty = true;
        loop {
            // The head is taken before the read: what is appended in between wakes the wait.
            let head = self.store.head().await?;
            let events = self.store.read_stream(stream, after, PAGE).await?;
            for event in &events {
                after = event.version;
                empty = false;
                if !self.print(event)? {
                    return Ok(());
                }
            }
            match (events.len() == PAGE, self.follow) {
                (true, _) => {}
                (false, true) => {
                    self.store.wait(head.position, WAIT).await?;
                }
                (false, false) => break,
            }
        }
        if empty {
            super::remark(&format_args!(
                "the stream `{stream}` has no event behind version {after}"
            ));
        }
        Ok(())
    }

    async fn log(&self, filter: Filter, mut after: Position) -> anyhow::Result<()> {
        loop {
            let page = self.store.read_all(after, &filter, PAGE).await?;
            for event in &page.events {
                if !self.print(event)? {
                    return Ok(());
                }
            }
            after = page.scanned_to;
            match (after >= page.head.position, self.follow) {
                (false, _) => {}
                (true, true) => {
                    self.store.wait(after, WAIT).await?;
                }
                (true, false) => return Ok(()),
            }
        }
    }

    /// False if nobody reads any more.
    fn print(&self, event: &Event) -> anyhow::Result<bool> {
        if self.json {
            return print_json(event, Lines::One).context("an event as JSON");
        }
        Ok(super::print(&format_args!(
            "{:>8}  {}  {:<28}  {:<24}  {}",
            event.position,
            event.recorded_at,
            format!("{}@{}", event.stream, event.version),
            one_line(&event.kind),
            short(event.data.get(), 160),
        ))?)
    }
}
