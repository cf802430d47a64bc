//! `ieum events`: the events of one stream, or of a whole category as they come.

use std::process::ExitCode;

use ieum_base::HumanDuration;
use ieum_eventstore::{Event, Head, Page, Position, StreamName, Version};
use ieum_remote::wire::log::{ReadLog, ReadStream, StreamPage, WaitForHead};
use ieum_remote::wire::paths;

use super::Outcome;
use super::platform::{Asking, Platform};
use super::table::short;

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

/// Events in one answer.
const PAGE: usize = 500;
/// How long the platform waits for more.
const WAIT: HumanDuration = HumanDuration::from_secs(30);

impl Events {
    pub(super) fn run(self) -> Outcome {
        let json = self.asking.json;
        let asking = self.asking.clone();
        asking.run(|platform| async move {
            match self.stream.as_deref() {
                Some(name) if name.parse::<StreamName>().is_ok() => {
                    stream(&platform, name, self.after, self.follow, json).await
                }
                category => log(&platform, category, self.after, self.follow, json).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn stream(
    platform: &Platform,
    name: &str,
    after: u64,
    follow: bool,
    json: bool,
) -> anyhow::Result<()> {
    let name_segment = paths::segment(name).unwrap_or_default();
    let path = format!("{}/{name_segment}", paths::STREAMS);
    let mut after = Version(after);
    let mut printed = false;
    loop {
        let head: Head = platform.get(paths::LOG_HEAD).await?;
        let query = ReadStream {
            after,
            limit: Some(PAGE),
        };
        let page: StreamPage = platform.get(&paths::with_query(&path, &query)).await?;
        for event in &page.events {
            if !print(event, json)? {
                return Ok(());
            }
            after = event.version;
            printed = true;
        }
        if page.events.len() < PAGE && !follow {
            break;
        }
        if page.events.len() < PAGE {
            wait(platform, head.position).await?;
        }
    }
    if !printed {
        eprintln!("the stream `{name}` has no event behind version {after}");
    }
    Ok(())
}

async fn wait(platform: &Platform, position: Position) -> anyhow::Result<()> {
    let query = WaitForHead {
        after: position,
        wait: Some(WAIT),
    };
    let path = paths::with_query(paths::LOG_HEAD, &query);
    platform.get::<Head>(&path).await?;
    Ok(())
}

async fn log(
    platform: &Platform,
    category: Option<&str>,
    after: u64,
    follow: bool,
    json: bool,
) -> anyhow::Result<()> {
    let mut query = ReadLog {
        after: Position(after),
        category: category.map(str::to_owned),
        limit: Some(PAGE),
        wait: follow.then_some(WAIT),
        ..ReadLog::default()
    };
    loop {
        let page: Page = platform.get(&paths::with_query(paths::LOG, &query)).await?;
        for event in &page.events {
            if !print(event, json)? {
                return Ok(());
            }
        }
        query.after = page.scanned_to;
        if !follow && query.after >= page.head.position {
            return Ok(());
        }
    }
}

/// False if nobody reads any more.
fn print(event: &Event, json: bool) -> anyhow::Result<bool> {
    if json {
        return super::print(&serde_json::to_string(event)?);
    }
    super::print(&format!(
        "{:>8}  {}  {:<28}  {:<24}  {}",
        event.position,
        event.recorded_at,
        format!("{}@{}", event.stream, event.version),
        event.kind,
        short(event.data.get(), 160),
    ))
}
