//! What has begun and not ended at one moment.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::PLATFORM_LOG;
use super::book::{Book, Tally};

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

/// What is open in the books in `data`. Nothing, where there are no books yet.
pub(crate) fn open(data: &Path) -> Result<Open> {
    Ok(Open {
        orders: streams(&data.join("orders.db"), ORDERS)?,
        sagas: streams(&data.join(PLATFORM_LOG), SAGAS)?,
    })
}

fn streams(file: &Path, sql: &str) -> Result<BTreeSet<String>> {
    if !file.is_file() {
        return Ok(BTreeSet::new());
    }
    let tally = Tally::default();
    let mut book = Book::open(file)?;
    let streams = book.read(&tally)?.rows(sql, |row| row.get(0))?;
    Ok(streams.into_iter().collect())
}
