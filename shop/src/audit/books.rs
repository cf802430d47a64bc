//! What an audit found.

use std::collections::BTreeSet;
use std::fmt::Display;

/// How many findings are kept with their text; all are counted.
const KEPT: usize = 50;

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    /// Orders that exist.
    pub(crate) orders: u64,
    /// Orders that were completed.
    pub(crate) completed: u64,
    /// Orders that were cancelled.
    pub(crate) cancelled: u64,
    /// Cancelled because the payment was declined.
    pub(crate) declined: u64,
    /// Cancelled for want of stock.
    pub(crate) out_of_stock: u64,
    /// Cancelled because nobody delivers there.
    pub(crate) undeliverable: u64,
    /// Orders neither completed nor cancelled, planned orders that do not exist, sagas still open.
    pub(crate) stuck: u64,
    /// Orders whose money was captured more than once.
    pub(crate) charged_twice: u64,
    /// Cancelled orders whose money did not all go back.
    pub(crate) not_refunded: u64,
    /// Pieces that are missing or too many.
    pub(crate) stock_drift: u64,
    /// Events that did not reach the log exactly once, or whose effect did not happen exactly once.
    pub(crate) lost_events: u64,
    /// Rows that were looked at. An audit of nothing proves nothing.
    pub(crate) rows_audited: u64,
    lost: BTreeSet<String>,
    findings: u64,
    kept: Vec<String>,
}

impl Books {
    /// Notes that an event, by its id, did not arrive or did not have its effect. Each counts once.
    pub(super) fn lose(&mut self, event: &str) {
        if self.lost.insert(event.to_owned()) {
            self.lost_events += 1;
        }
    }

    /// Notes that something does not balance.
    pub(super) fn find(&mut self, what: impl Display) {
        self.findings += 1;
        if self.kept.len() < KEPT {
            self.kept.push(what.to_string());
        }
    }

    /// True if nothing was found, and something was looked at.
    pub(crate) fn balance(&self) -> bool {
        self.findings == 0 && self.rows_audited > 0
    }

    /// The first findings, as sentences.
    pub(crate) fn findings(&self) -> &[String] {
        &self.kept
    }

    /// How many findings there are beyond the ones that are kept.
    pub(crate) fn more(&self) -> u64 {
        self.findings - self.kept.len() as u64
    }
}
