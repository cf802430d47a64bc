//! Subscriptions: a member of a group, who shares the group's queue with the others.
//!
//! SQS delivers no message of a key while one of that key is with somebody, so the order per key holds
//! whoever works. What a member has comes back to the queue when its visibility ends.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use ieum_messaging::{Delivery, Error, ErrorKind, Result, Window, names};
use tokio::time::Instant;

use crate::api::Api;
use crate::publisher::Publisher;
use crate::queue::{Queue, Received};

/// Opens subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    api: Arc<Api>,
    publisher: Arc<Publisher>,
}

impl Subscriber {
    pub(crate) const fn new(api: Arc<Api>, publisher: Arc<Publisher>) -> Self {
        Self { api, publisher }
    }
}

#[async_trait]
impl ieum_messaging::Subscriber for Subscriber {
    /// Makes the topic, the group's queue and the subscription unless they are there.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn ieum_messaging::Subscription>> {
        names::check("member", member)?;
        let queue = Queue::make(&self.api, &self.publisher, topic, group).await?;
        Ok(Box::new(Subscription {
            api: Arc::clone(&self.api),
            group: group.to_owned(),
            queue,
            window: Window::default(),
            until: None,
            receiving: None,
            done: 0,
            lost: 0,
        }))
    }
}

struct Subscription {
    api: Arc<Api>,
    group: String,
    queue: Queue,
    /// What this member has, each with its receipt.
    window: Window<String>,
    /// When the first of the window may go to others.
    until: Option<Instant>,
    /// A call that is on its way. It stays when `next` is dropped, so that its answer is not lost.
    receiving: Option<BoxFuture<'static, (Instant, Result<Vec<Received>>)>>,
    /// Everything up to here was acknowledged, unless it was lost before.
    done: u64,
    /// Everything up to here is no longer this member's.
    lost: u64,
}

impl Subscription {
    /// Puts what has come into the window; waits for it only if there is nothing yet. Cancel safe.
    async fn receive(&mut self) -> Result<()> {
        if self.window.len() >= self.api.config.window {
            return Ok(());
        }
        let wait = match self.window.is_empty() {
            true => self.api.config.wait,
            false => std::time::Duration::ZERO,
        };
        let (queue, attempt) = (&self.queue, self.api.clock.new_id());
        let receiving = self.receiving.get_or_insert_with(|| {
            let receiving = queue.clone().receive(attempt, wait);
            Box::pin(async move {
                let begun = Instant::now();
                (begun, receiving.await)
            })
        });
        let (begun, received) = receiving.await;
        self.receiving = None;
        let (now, visibility) = (Instant::now(), self.api.config.visibility);
        for Received { message, receipt } in received? {
            self.window.push(message, receipt);
            // They were hidden at some moment of the call. After a long one they are due at once.
            let until = (begun + visibility).max(now + visibility / 3);
            self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        }
        self.renew().await.map(drop)
    }

    /// Keeps what the window has from others, in good time. False if it went to them.
    async fn renew(&mut self) -> Result<bool> {
        let (now, visibility) = (Instant::now(), self.api.config.visibility);
        let Some(until) = self.until.filter(|_| !self.window.is_empty()) else {
            return Ok(true);
        };
        if until > now + visibility * 2 / 3 {
            return Ok(true);
        }
        if until <= now || !self.queue.renew(self.receipts(u64::MAX)).await? {
            self.lose();
            return Ok(false);
        }
        self.until = Some(now + visibility);
        Ok(true)
    }

    /// The receipts of what is held up to `position`.
    fn receipts(&self, position: u64) -> Vec<String> {
        let held = self.window.up_to(position);
        held.map(|held| held.token.clone()).collect()
    }

    /// What was delivered goes to whoever asks next.
    fn lose(&mut self) {
        self.lost = self.window.last();
        self.window.clear();
        self.until = None;
    }

    fn superseded(&mut self) -> Error {
        self.lose();
        Error::new(ErrorKind::Superseded, format!("group `{}`", self.group))
    }

    /// Whether the delivery at `position` is still to be dealt with; `Superseded` if not by us.
    fn is_held(&mut self, position: u64) -> Result<bool> {
        self.window.check(position)?;
        if position <= self.done {
            return Ok(false);
        }
        if position <= self.lost {
            let doing = format!("group `{}`", self.group);
            return Err(Error::new(ErrorKind::Superseded, doing));
        }
        Ok(true)
    }
}

#[async_trait]
impl ieum_messaging::Subscription for Subscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.renew().await?;
        if self.window.len() < max {
            self.receive().await?;
        }
        Ok(self.window.deliveries(0, max))
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        if !self.is_held(delivery.position)? {
            return Ok(());
        }
        let receipts = self.receipts(delivery.position);
        if !self.queue.delete(receipts).await? {
            return Err(self.superseded());
        }
        self.window.take_up_to(delivery.position);
        self.done = delivery.position;
        if self.window.is_empty() {
            self.until = None;
        }
        Ok(())
    }

    /// Acknowledges what is before it too. What follows on its key is delivered.
    async fn dead_letter(&mut self, delivery: &Delivery, reason: &str) -> Result<()> {
        if !self.is_held(delivery.position)? {
            return Ok(());
        }
        // Whoever has it no longer must not make it a dead letter.
        if !self.queue.renew(self.receipts(delivery.position)).await? {
            return Err(self.superseded());
        }
        if let Some(held) = self.window.get(delivery.position) {
            self.queue.bury(&held.message, reason).await?;
        }
        self.ack(delivery).await
    }

    async fn ahead(&mut self, last: &Delivery, max: usize) -> Result<Vec<Delivery>> {
        self.is_held(last.position)?;
        self.keep().await?;
        if !self.window.is_empty() {
            self.receive().await?;
        }
        Ok(self.window.deliveries(last.position, max))
    }

    async fn keep(&mut self) -> Result<()> {
        match self.renew().await? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Superseded,
                format!("group `{}`", self.group),
            )),
        }
    }
}
