//! A subscription over any engine that has [`Groups`].
//!
//! The member joins when it first asks for messages, joins again when it was superseded, waits as a
//! standby while another member works, and rides out an engine that does not answer. What it was
//! given and has not acknowledged it is given again after it joined.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Backoff, Deadline, Rng};

use crate::{Delivery, Epoch, Error, ErrorKind, Groups, Result, Subscriber, Subscription, names};

/// The settings of subscriptions over groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// How long one pull waits for a message. Default 20 s.
    pub wait: Duration,
    /// The pause before a failed join or pull is repeated. Default 50 ms to 1 s: an engine that was
    /// started again is worked with at once.
    pub backoff: Backoff,
    /// How long `next` goes on trying before it answers the error. Default 30 s.
    pub patience: Duration,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(20),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            patience: Duration::from_secs(30),
        }
    }
}

/// Makes a [`Subscriber`] of [`Groups`].
#[derive(Clone)]
pub struct GroupSubscriber {
    groups: Arc<dyn Groups>,
    config: GroupConfig,
    rng: Rng,
}

impl GroupSubscriber {
    /// Subscriptions over `groups` with default settings.
    pub fn new(groups: Arc<dyn Groups>) -> Self {
        Self {
            groups,
            config: GroupConfig::default(),
            rng: Rng::system(),
        }
    }

    /// The same with other settings.
    #[must_use]
    pub const fn with_config(mut self, config: GroupConfig) -> Self {
        self.config = config;
        self
    }
}

impl std::fmt::Debug for GroupSubscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupSubscriber")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Subscriber for GroupSubscriber {
    /// Refuses wrong names at once; joins with the first call of `next`.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>> {
        names::check_join(topic, group, member)?;
        Ok(Box::new(GroupSubscription {
            groups: Arc::clone(&self.groups),
            config: self.config,
            rng: self.rng.clone(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            member: member.to_owned(),
            epoch: None,
        }))
    }
}

struct GroupSubscription {
    groups: Arc<dyn Groups>,
    config: GroupConfig,
    rng: Rng,
    topic: String,
    group: String,
    member: String,
    epoch: Option<Epoch>,
}

impl GroupSubscription {
    async fn try_next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => {
                let joined = self.groups.join(&self.topic, &self.group, &self.member);
                *self.epoch.insert(joined.await?)
            }
        };
        let wait = self.config.wait;
        let pulled = self.groups.pull(&self.topic, &self.group, epoch, max, wait);
        let pulled = pulled.await;
        self.noting_end_of_term(pulled)
    }

    /// The term; `Superseded` if there is none.
    fn term(&self) -> Result<Epoch> {
        let outside = || Error::new(ErrorKind::Superseded, format!("group `{}`", self.group));
        self.epoch.ok_or_else(outside)
    }

    fn noting_end_of_term<T>(&mut self, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|error| {
            if error.kind() == ErrorKind::Superseded {
                self.epoch = None;
            }
        })
    }
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let deadline = Deadline::after(self.config.patience);
        let mut attempt = 0;
        loop {
            let error = match self.try_next(max.max(1)).await {
                Ok(deliveries) => return Ok(deliveries),
                Err(error) => error,
            };
            let is_standby = error.kind() == ErrorKind::Busy;
            let may_pass = is_standby
                || matches!(
                    error.kind(),
                    ErrorKind::Superseded | ErrorKind::Unavailable | ErrorKind::Full
                );
            attempt += 1;
            let pause = self.config.backoff.delay(attempt, &self.rng);
            if !may_pass {
                return Err(error);
            }
            if deadline.left() <= pause {
                // A standby is in order: nothing came in time.
                return if is_standby {
                    Ok(Vec::new())
                } else {
                    Err(error)
                };
            }
            tracing::debug!(topic = self.topic, group = self.group, %error, "asking again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        let epoch = self.term()?;
        let acked = self
            .groups
            .ack(&self.topic, &self.group, epoch, delivery.position);
        let acked = acked.await;
        self.noting_end_of_term(acked)
    }

    async fn dead_letter(&mut self, delivery: &Delivery, reason: &str) -> Result<()> {
        let epoch = self.term()?;
        let position = delivery.position;
        let kept = self
            .groups
            .dead_letter(&self.topic, &self.group, epoch, position, reason);
        let kept = kept.await;
        self.noting_end_of_term(kept)
    }

    async fn ahead(&mut self, last: &Delivery, max: usize) -> Result<Vec<Delivery>> {
        let (epoch, after) = (self.term()?, last.position);
        let pulled =
            self.groups
                .pull_after(&self.topic, &self.group, epoch, after, max, Duration::ZERO);
        let pulled = pulled.await;
        self.noting_end_of_term(pulled)
    }

    async fn keep(&mut self) -> Result<()> {
        let epoch = self.term()?;
        let kept = self
            .groups
            .pull(&self.topic, &self.group, epoch, 0, Duration::ZERO);
        let kept = kept.await.map(drop);
        self.noting_end_of_term(kept)
    }
}
