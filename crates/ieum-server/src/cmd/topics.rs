//! `ieum topics` and `ieum groups`: what is published, and how far its consumers have come.

use ieum_remote::wire::paths;
use ieum_remote::wire::topics;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{or_nothing, table};

/// List the topics with what they hold.
#[derive(Debug, clap::Args)]
pub(super) struct Topics {
    #[command(flatten)]
    asking: Asking,
}

/// List the consumer groups with their lag.
#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    #[command(flatten)]
    asking: Asking,
}

impl Topics {
    pub(super) fn run(self) -> Outcome {
        show(&self.asking, paths::TOPICS, |body: &topics::Topics| {
            let rows = body.topics.iter().map(|topic| {
                let (messages, head) = (topic.messages.to_string(), topic.head.to_string());
                [topic.topic.clone(), messages, head]
            });
            let text = table(["TOPIC", "MESSAGES", "HEAD"], rows);
            Shown::rows(body.topics.is_empty(), text, "no topic")
        })
    }
}

impl Groups {
    pub(super) fn run(self) -> Outcome {
        show(&self.asking, paths::GROUPS, |body: &topics::Groups| {
            let rows = body.groups.iter().map(|group| {
                [
                    group.topic.clone(),
                    group.group.clone(),
                    group.lag.to_string(),
                    group.dead_letters.to_string(),
                    group.checkpoint.to_string(),
                    or_nothing(group.member.as_deref()),
                ]
            });
            let header = [
                "TOPIC",
                "GROUP",
                "LAG",
                "DEAD LETTERS",
                "CHECKPOINT",
                "MEMBER",
            ];
            let text = table(header, rows);
            Shown::rows(body.groups.is_empty(), text, "no consumer group")
        })
    }
}
