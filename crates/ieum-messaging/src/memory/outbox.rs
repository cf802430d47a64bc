//! An outbox in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{Message, OutboxRow, OutboxStore, Result};

/// An outbox that a test fills by hand.
#[derive(Debug, Default)]
pub struct Outbox {
    rows: Mutex<Rows>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Rows {
    last: i64,
    pending: BTreeMap<i64, (String, Message)>,
    unsendable: BTreeMap<i64, String>,
}

impl Outbox {
    /// Adds a row and answers its id.
    pub fn add(&self, topic: impl Into<String>, message: Message) -> i64 {
        let mut rows = self.lock();
        rows.last += 1;
        let id = rows.last;
        rows.pending.insert(id, (topic.into(), message));
        drop(rows);
        self.added.notify_one();
        id
    }

    /// How many rows wait to be sent.
    pub fn len(&self) -> usize {
        self.lock().pending.len()
    }

    /// True if no row waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that can never be sent, and why.
    pub fn unsendable(&self) -> Vec<(i64, String)> {
        let rows = self.lock();
        let pairs = rows.unsendable.iter();
        pairs.map(|(&id, why)| (id, why.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OutboxStore for Outbox {
    async fn pending(&self, limit: usize) -> Result<Vec<OutboxRow>> {
        self.pending_besides(&[], limit).await
    }

    async fn pending_besides(&self, besides: &[String], limit: usize) -> Result<Vec<OutboxRow>> {
        let rows = self.lock();
        let wanted = |(_, (topic, _)): &(&i64, &(String, Message))| !besides.contains(topic);
        let oldest = rows.pending.iter().filter(wanted).take(limit);
        Ok(oldest
            .map(|(&id, (topic, message))| OutboxRow {
                id,
                topic: topic.clone(),
                message: message.clone(),
            })
            .collect())
    }

    async fn mark_sent(&self, ids: &[i64]) -> Result<()> {
        let mut rows = self.lock();
        for id in ids {
            rows.pending.remove(id);
        }
        Ok(())
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> Result<()> {
        let mut rows = self.lock();
        if rows.pending.remove(&id).is_some() {
            rows.unsendable.insert(id, reason.to_owned());
        }
        Ok(())
    }

    async fn changed(&self, wait: Duration) {
        // The hint may be missed by nobody: `notify_one` keeps one permit.
        let _ = tokio::time::timeout(wait, self.added.notified()).await;
    }
}
