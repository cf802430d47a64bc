//! Consumer groups over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use ieum_base::HumanDuration;
use ieum_messaging::{Delivery, Epoch, Groups, Result};
use serde::Serialize;

use crate::api::{Api, Outcome, json, segment};
use crate::wire::topics::{Ack, GiveUp, Join, Joined, Pull, Pulled};
use crate::wire::{MAX_PAGE, MAX_WAIT, paths};

/// A platform's consumer groups.
#[derive(Clone, Debug)]
pub(crate) struct RemoteGroups(pub(crate) Api);

impl RemoteGroups {
    async fn try_join(&self, topic: &str, group: &str, member: &str) -> Outcome<Joined> {
        let body = Join {
            member: member.to_owned(),
        };
        self.0
            .post(&path(topic, group, "join")?, &body, Duration::ZERO)
            .await
    }

    /// Asks for less when the answer is too large: what was not acknowledged comes again.
    async fn try_pull(&self, topic: &str, group: &str, mut body: Pull) -> Outcome<Pulled> {
        let path = path(topic, group, "pull")?;
        loop {
            match self.0.post(&path, &body, body.wait.0).await {
                Err(failure) if failure.is_too_large() && body.max > 1 => body.max /= 2,
                answer => return answer,
            }
        }
    }

    async fn try_tell<B: Serialize + Sync>(
        &self,
        topic: &str,
        group: &str,
        verb: &str,
        body: &B,
    ) -> Outcome<()> {
        let path = path(topic, group, verb)?;
        self.0.tell(Method::POST, &path, Some(json(body)?)).await
    }
}

#[async_trait]
impl Groups for RemoteGroups {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        let joined = self.try_join(topic, group, member).await;
        let joined = joined.map_err(|f| f.into_messages_error(&doing("joining", topic, group)));
        Ok(joined?.epoch)
    }

    async fn pull(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        self.pull_after(topic, group, epoch, 0, max, wait).await
    }

    async fn pull_after(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        after: u64,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        let body = Pull {
            epoch,
            after: Some(after).filter(|after| *after > 0),
            max: max.min(MAX_PAGE),
            wait: HumanDuration(wait.min(MAX_WAIT)),
        };
        let pulled = self.try_pull(topic, group, body).await;
        let pulled = pulled.map_err(|f| f.into_messages_error(&doing("pulling", topic, group)));
        Ok(pulled?.deliveries)
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        let acked = self
            .try_tell(topic, group, "ack", &Ack { epoch, up_to })
            .await;
        acked.map_err(|f| f.into_messages_error(&doing("acknowledging", topic, group)))
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let body = GiveUp {
            epoch,
            position,
            reason: reason.to_owned(),
        };
        let kept = self.try_tell(topic, group, "dead-letters", &body).await;
        kept.map_err(|f| f.into_messages_error(&doing("giving up a message", topic, group)))
    }
}

fn path(topic: &str, group: &str, verb: &str) -> Outcome<String> {
    let (topic, group) = (segment(topic)?, segment(group)?);
    Ok(format!("{}/{topic}/groups/{group}/{verb}", paths::TOPICS))
}

fn doing(what: &str, topic: &str, group: &str) -> String {
    format!("{what} for group `{group}` of `{topic}`")
}
