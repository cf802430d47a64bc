//! Topics and groups: order, redelivery, idempotence, fencing, dead letters.

mod consuming;
mod publishing;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use consuming::{
    a_group_may_join_before_the_first_message, a_pull_waits_no_longer_than_it_is_told,
    a_pull_wakes_up_for_a_message, a_subscription_goes_on_after_a_crash,
    an_ack_beyond_the_end_is_refused, an_ack_never_goes_back, an_operator_sees_topics_and_groups,
    another_member_is_refused_while_the_worker_is_alive, giving_up_again_changes_nothing,
    groups_do_not_share_their_checkpoints, h13_a_superseded_member_is_refused,
    h30_a_dead_letter_parks_only_its_key, h30_a_pull_looks_past_what_is_not_acknowledged,
    h30_what_an_ack_passes_on_a_parked_key_is_parked, what_was_not_acknowledged_is_delivered_again,
};
use publishing::{
    a_batch_with_a_wrong_message_is_refused_whole, a_large_batch_comes_page_by_page,
    a_message_comes_back_as_it_was_published, an_id_that_means_another_message_is_refused,
    messages_of_a_key_come_in_the_order_of_publishing,
    publishing_a_batch_again_adds_what_was_missing, publishing_again_adds_nothing,
    wrong_names_are_refused,
};

use super::Report;
use super::kit::{Failure, Verdict, cases, message, unique};
use crate::{
    DeadLetterFilter, DeadLetterReason, Delivery, Epoch, Groups, Inspect, Message, Publisher,
    Subscriber,
};

/// The ports of the engine under test, over one and the same broker.
pub struct Engine {
    /// Its publisher.
    pub publisher: Arc<dyn Publisher>,
    /// Its groups.
    pub groups: Arc<dyn Groups>,
    /// Its subscriptions.
    pub subscriber: Arc<dyn Subscriber>,
    /// What an operator sees of it.
    pub inspect: Arc<dyn Inspect>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// The names of all cases.
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|(name, _)| *name).collect()
}

/// Runs every case, each on what `fresh` makes.
pub async fn run(fresh: impl AsyncFn() -> Engine) -> Report {
    let mut report = Report::default();
    for (name, case) in CASES {
        let room = Room {
            engine: fresh().await,
            topic: unique("things."),
            source: unique("/things/"),
        };
        match case(room).await {
            Ok(()) => report.passed.push(name),
            Err(Failure(why)) => report.failed.push((name, why)),
        }
    }
    report
}

type Case = fn(Room) -> Pin<Box<dyn Future<Output = Verdict> + Send>>;

const CASES: &[(&str, Case)] = cases![
    a_message_comes_back_as_it_was_published,
    messages_of_a_key_come_in_the_order_of_publishing,
    a_large_batch_comes_page_by_page,
    publishing_again_adds_nothing,
    publishing_a_batch_again_adds_what_was_missing,
    an_id_that_means_another_message_is_refused,
    a_batch_with_a_wrong_message_is_refused_whole,
    wrong_names_are_refused,
    a_group_may_join_before_the_first_message,
    a_pull_wakes_up_for_a_message,
    a_pull_waits_no_longer_than_it_is_told,
    what_was_not_acknowledged_is_delivered_again,
    an_ack_never_goes_back,
    an_ack_beyond_the_end_is_refused,
    groups_do_not_share_their_checkpoints,
    another_member_is_refused_while_the_worker_is_alive,
    h13_a_superseded_member_is_refused,
    h30_a_dead_letter_parks_only_its_key,
    h30_a_pull_looks_past_what_is_not_acknowledged,
    h30_what_an_ack_passes_on_a_parked_key_is_parked,
    giving_up_again_changes_nothing,
    a_subscription_goes_on_after_a_crash,
    an_operator_sees_topics_and_groups,
];

/// An engine, and names that no other case uses.
struct Room {
    engine: Engine,
    topic: String,
    source: String,
}

const GROUP: &str = "readers";
const NOW: Duration = Duration::ZERO;

impl Room {
    /// Publishes one message per key; they are numbered from 1.
    async fn publish(&self, keys: &[&str]) -> Verdict {
        let numbered = (1..).zip(keys);
        let messages = numbered.map(|(n, key)| message(&self.source, n, key));
        self.publish_all(&messages.collect::<Result<Vec<_>, _>>()?)
            .await
    }

    async fn publish_all(&self, messages: &[Message]) -> Verdict {
        Ok(self.engine.publisher.publish(&self.topic, messages).await?)
    }

    async fn join(&self) -> Result<Epoch, Failure> {
        Ok(self
            .engine
            .groups
            .join(&self.topic, GROUP, "reader-1")
            .await?)
    }

    async fn pull(&self, epoch: Epoch, max: usize) -> Result<Vec<Delivery>, Failure> {
        Ok(self
            .engine
            .groups
            .pull(&self.topic, GROUP, epoch, max, NOW)
            .await?)
    }

    async fn ack(&self, epoch: Epoch, up_to: u64) -> Verdict {
        Ok(self
            .engine
            .groups
            .ack(&self.topic, GROUP, epoch, up_to)
            .await?)
    }

    async fn give_up(&self, epoch: Epoch, position: u64) -> Verdict {
        let groups = &self.engine.groups;
        let given_up = groups.dead_letter(&self.topic, GROUP, epoch, position, "no");
        Ok(given_up.await?)
    }

    /// What a new group sees of the topic.
    async fn all_ids(&self) -> Result<Vec<String>, Failure> {
        let group = unique("checker-");
        let epoch = self
            .engine
            .groups
            .join(&self.topic, &group, "checker")
            .await?;
        let pulled = self
            .engine
            .groups
            .pull(&self.topic, &group, epoch, 5_000, NOW);
        Ok(ids(&pulled.await?))
    }

    /// The dead letters of the group: id of the message, and the reason.
    async fn dead_letters(&self) -> Result<Vec<(String, DeadLetterReason)>, Failure> {
        let filter = DeadLetterFilter {
            topic: Some(self.topic.clone()),
            group: Some(GROUP.to_owned()),
        };
        let letters = self.engine.inspect.dead_letters(&filter, 100).await?;
        Ok(letters
            .into_iter()
            .map(|l| (l.message.id, l.reason))
            .collect())
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| d.message.id.clone()).collect()
}

fn numbers(wanted: impl IntoIterator<Item = u32>) -> Vec<String> {
    wanted.into_iter().map(|n| n.to_string()).collect()
}

/// The position of the delivery at `index`.
fn position(deliveries: &[Delivery], index: usize) -> Result<u64, Failure> {
    let delivery = deliveries.get(index);
    let missing = || Failure(format!("no delivery at {index} of {}", deliveries.len()));
    Ok(delivery.ok_or_else(missing)?.position)
}
