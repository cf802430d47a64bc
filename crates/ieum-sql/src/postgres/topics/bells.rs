//! Waking those who wait at a topic.
//!
//! One task follows the head of the log and looks which topics the new events belong to, so that a
//! hundred groups that wait do not all look whenever anything is appended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ieum_eventstore::{EventStore, Position};
use tokio::sync::watch;

use super::lock;
use crate::postgres::Log;
use crate::postgres::log::signed;

/// The topics that somebody waits at, each with a bell. Bounded by the number of topics.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<String, watch::Sender<u64>>>);

impl Bells {
    /// Changes when `topic` may have got messages.
    pub(super) fn at(&self, topic: &str) -> watch::Receiver<u64> {
        let mut bells = lock(&self.0);
        if let Some(bell) = bells.get(topic) {
            return bell.subscribe();
        }
        // Topics that nobody waits at any more make room.
        bells.retain(|_, bell| bell.receiver_count() > 0);
        bells.entry(topic.to_owned()).or_default().subscribe()
    }

    /// Wakes those at `topics`, or everybody.
    fn ring(&self, topics: Option<&[String]>) {
        for (topic, bell) in lock(&self.0).iter() {
            if topics.is_none_or(|topics| topics.contains(topic)) {
                bell.send_modify(|rung| *rung += 1);
            }
        }
    }
}

impl Bells {
    /// Rings for what is appended to `log`, for ever. While the log is away nobody is woken:
    /// everybody looks by itself now and then.
    pub(super) async fn ring_for(self: Arc<Self>, log: Log) {
        let mut at = None;
        loop {
            let Err(error) = self.ring_once(&log, &mut at).await else {
                continue;
            };
            tracing::debug!(%error, "subscribers are not woken; they look by themselves");
            // Where the log goes on is not known: everybody looks once.
            at = None;
            log.pool().clock().sleep(PAUSE).await;
        }
    }

    async fn ring_once(&self, log: &Log, at: &mut Option<Position>) -> ieum_eventstore::Result<()> {
        let Some(before) = *at else {
            *at = Some(log.head().await?.position);
            self.ring(None);
            return Ok(());
        };
        let head = log.wait(before, WAIT).await?.position;
        if head == before {
            return Ok(());
        }
        *at = Some(head);
        if head < before || head.0 - before.0 > MANY {
            self.ring(None);
            return Ok(());
        }
        let sql =
            "SELECT DISTINCT category FROM ieum_events WHERE position > $1 AND position <= $2";
        let between = (signed(before.0), signed(head.0));
        let rows = log.pool().query(sql, &[&between.0, &between.1]).await?;
        let topics: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        self.ring(Some(&topics));
        Ok(())
    }
}

/// How long one wait for the head lasts.
const WAIT: Duration = Duration::from_secs(20);
/// The pause after the log did not answer.
const PAUSE: Duration = Duration::from_millis(250);
/// After so many new events it is cheaper to wake everybody than to look which topics they are of.
const MANY: u64 = 10_000;
