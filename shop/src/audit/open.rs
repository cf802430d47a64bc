//! What has begun and not ended at one moment.

use std::collections::BTreeSet;

use anyhow::Result;

use super::book::Tally;
use super::source::Source;

/// What is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// Orders neither completed nor cancelled, by their streams.
    pub(crate) orders: BTreeSet<String>,
    /// Sagas neither completed nor compensated, by their streams.
    pub(crate) sagas: BTreeSet<String>,
}

impl Open {
    /// True if nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.sagas.is_empty()
    }

    /// What is open, but no order.
    pub(crate) fn without_orders(mut self) -> Self {
        self.orders.clear();
        self
    }

    /// True if something is open in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        !self.orders.is_disjoint(&other.orders) || !self.sagas.is_disjoint(&other.sagas)
    }

    /// True if something is open here that is not open in `other`.
    pub(crate) fn has_more_than(&self, other: &Self) -> bool {
        !self.orders.is_subset(&other.orders) || !self.sagas.is_subset(&other.sagas)
    }
}

const ORDERS: &str = "SELECT stream FROM ieum_events WHERE type = 'OrderCreated'
    EXCEPT SELECT stream FROM ieum_events WHERE type IN ('OrderCompleted', 'OrderCancelled')";
const SAGAS: &str = "SELECT stream FROM ieum_events WHERE type = 'saga.started'
    EXCEPT SELECT stream FROM ieum_events WHERE type IN ('saga.completed', 'saga.compensated')";

/// What is open in the books of `source`. Nothing, where there are no books yet.
pub(crate) fn open(source: &Source) -> Result<Open> {
    Ok(Open {
        orders: streams(source, "orders", ORDERS)?,
        sagas: streams(source, "platform", SAGAS)?,
    })
}

fn streams(source: &Source, name: &str, sql: &str) -> Result<BTreeSet<String>> {
    let tally = Tally::default();
    let Some(mut book) = source.find(name)? else {
        return Ok(BTreeSet::new());
    };
    let streams = book.read(&tally)?.rows(sql, |row| row.get(0))?;
    Ok(streams.into_iter().collect())
}
