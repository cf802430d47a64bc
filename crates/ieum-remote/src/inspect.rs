//! Topics, groups and dead letters as an operator sees them, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use ieum_messaging::{DeadLetter, DeadLetterFilter, GroupState, Inspect, Result, TopicState};

use crate::api::Api;
use crate::wire::topics::{DeadLetters, Groups, ListDeadLetters, Topics};
use crate::wire::{MAX_PAGE, paths};

/// A platform's topics, to look at.
#[derive(Clone, Debug)]
pub(crate) struct RemoteInspect(pub(crate) Api);

#[async_trait]
impl Inspect for RemoteInspect {
    async fn topics(&self) -> Result<Vec<TopicState>> {
        let answer = self.0.get::<Topics>(paths::TOPICS, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_messages_error("listing topics"));
        Ok(answer?.topics)
    }

    async fn groups(&self) -> Result<Vec<GroupState>> {
        let answer = self.0.get::<Groups>(paths::GROUPS, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_messages_error("listing groups"));
        Ok(answer?.groups)
    }

    /// At most [`MAX_PAGE`] whatever `limit` is.
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let query = ListDeadLetters {
            topic: filter.topic.clone(),
            group: filter.group.clone(),
            limit: Some(limit.clamp(1, MAX_PAGE)),
        };
        let path = paths::with_query(paths::DEAD_LETTERS, &query);
        let answer = self.0.get::<DeadLetters>(&path, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_messages_error("listing dead letters"));
        let mut letters = answer?.dead_letters;
        letters.truncate(limit);
        Ok(letters)
    }
}
