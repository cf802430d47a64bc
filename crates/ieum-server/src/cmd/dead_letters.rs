//! `ieum dead-letters`: what consumer groups set aside, and what an operator does about it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use ieum_messaging::DeadLetterReason;
use ieum_remote::wire::paths;
use ieum_remote::wire::topics::{DeadLetters as Body, ListDeadLetters, Settled};

use super::Outcome;
use super::answer::{Shown, print, show};
use super::platform::Asking;
use super::table::{short, table};

/// List messages that were given up or wait behind one, or deal with them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only of this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only of this group.
    #[arg(long)]
    group: Option<String>,
    /// The most to list, 1 to 1000. Default 100.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Deliver again what waits under a key, in its order.
    Replay(Which),
    /// Give up for good what waits under a key; what comes next on it is delivered.
    Drop(Which),
}

/// What an action is about, as the list shows it.
#[derive(Debug, Args)]
struct Which {
    /// The topic.
    topic: String,
    /// The consumer group.
    group: String,
    /// The key.
    key: String,
    #[command(flatten)]
    asking: Asking,
}

impl DeadLetters {
    pub(super) fn run(self) -> Outcome {
        match self.action {
            Some(Action::Replay(which)) => which.settle(false),
            Some(Action::Drop(which)) => which.settle(true),
            None => self.list(),
        }
    }

    fn list(self) -> Outcome {
        let query = ListDeadLetters {
            topic: self.topic,
            group: self.group,
            limit: self.limit,
        };
        let path = paths::with_query(paths::DEAD_LETTERS, &query);
        show(&self.asking, &path, |body: &Body| {
            Shown::rows(body.dead_letters.is_empty(), render(body), "no dead letter")
        })
    }
}

impl Which {
    /// Replays, or gives up for good. Nothing under the key is a failure: it was perhaps mistyped.
    fn settle(self, for_good: bool) -> Outcome {
        let (topic, group, key) = (&self.topic, &self.group, &self.key);
        let settled: Settled = self.asking.run(async |platform| {
            let settled = match for_good {
                true => platform.skip(topic, group, key).await,
                false => platform.replay(topic, group, key).await,
            };
            settled.map_err(|error| self.asking.explain(error))
        })?;
        if settled.messages == 0 {
            anyhow::bail!("`{group}` has set nothing aside under the key `{key}` of `{topic}`");
        }
        print(
            &self.asking,
            serde_json::to_value(settled)?,
            |settled: &Settled| {
                let done = if for_good {
                    "given up"
                } else {
                    "to be delivered again"
                };
                Shown::Text(format!("messages {done}: {}", settled.messages))
            },
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(body: &Body) -> String {
    let rows = body.dead_letters.iter().map(|letter| {
        let why = match &letter.reason {
            DeadLetterReason::GaveUp(why) => why.clone(),
            DeadLetterReason::Behind(position) => format!("waits behind {position}"),
        };
        [
            letter.topic.clone(),
            letter.group.clone(),
            letter.key.clone(),
            letter.position.to_string(),
            letter.message.kind.clone(),
            letter.recorded_at.to_string(),
            short(&why, 50),
        ]
    });
    table(
        ["TOPIC", "GROUP", "KEY", "POSITION", "TYPE", "SINCE", "WHY"],
        rows,
    )
}
