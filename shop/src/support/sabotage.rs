//! Defects that can be planted, so that the auditor can be shown to find them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clap::ValueEnum;
use ieum::messaging::{OutboxRow, OutboxStore, Result};
use ieum::sql::outbox;

/// A defect in a service. Nothing tells the auditor which one is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Sabotage {
    /// Payments captures the money of some orders twice.
    DoubleCharge,
    /// A relay marks some events as sent without sending them.
    LoseEvent,
    /// Inventory takes one piece more than was ordered.
    LeakStock,
    /// Payments answers that it refunded, and does not.
    ForgetUndo,
}

impl Sabotage {
    /// The environment variable that plants a defect in a service that is a process of its own.
    pub(crate) const VARIABLE: &str = "SHOP_SABOTAGE";
}

/// One order in this many meets a planted defect: few enough to hide, enough for 20 orders.
const EVERY: i64 = 5;

/// True if the planted defect is `kind` and the `n`-th case (from 0) is one that meets it.
pub(crate) fn strikes(planted: Option<Sabotage>, kind: Sabotage, n: i64) -> bool {
    planted == Some(kind) && n % EVERY == 0
}

/// An outbox as the relay sees it. With the defect planted, it says of some rows that they were sent,
/// and shows them to nobody.
pub(crate) struct LossyOutbox {
    store: Arc<outbox::Store>,
    planted: Option<Sabotage>,
    ended: AtomicI64,
}

impl LossyOutbox {
    /// The outbox of a service.
    pub(crate) const fn new(store: Arc<outbox::Store>, planted: Option<Sabotage>) -> Self {
        Self {
            store,
            planted,
            ended: AtomicI64::new(0),
        }
    }

    /// Only events that end an order are lost: the others would be missed at once.
    fn loses(&self, row: &OutboxRow) -> bool {
        matches!(
            row.message.kind.as_str(),
            "order.completed" | "order.cancelled"
        ) && strikes(
            self.planted,
            Sabotage::LoseEvent,
            self.ended.fetch_add(1, Ordering::Relaxed),
        )
    }
}

#[async_trait]
impl OutboxStore for LossyOutbox {
    async fn pending(&self, limit: usize) -> Result<Vec<OutboxRow>> {
        let mut rows = self.store.pending(limit).await?;
        if self.planted == Some(Sabotage::LoseEvent) {
            let lost: Vec<i64> = rows
                .iter()
                .filter(|row| self.loses(row))
                .map(|row| row.id)
                .collect();
            self.store.mark_sent(&lost).await?;
            rows.retain(|row| !lost.contains(&row.id));
        }
        Ok(rows)
    }

    async fn mark_sent(&self, ids: &[i64]) -> Result<()> {
        self.store.mark_sent(ids).await
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> Result<()> {
        self.store.mark_unsendable(id, reason).await
    }

    async fn changed(&self, wait: Duration) {
        self.store.changed(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_only_where_it_is_planted() {
        let planted = Some(Sabotage::LeakStock);
        let struck = (0..20).filter(|&n| strikes(planted, Sabotage::LeakStock, n));
        assert_eq!(struck.count(), 4);
        assert!(!strikes(planted, Sabotage::DoubleCharge, 0));
        assert!(!strikes(None, Sabotage::LeakStock, 0));
    }
}
