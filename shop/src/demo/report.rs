//! What the demo says at its end: a table for people, one line of JSON for programs.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::audit::Books;

/// The result of a demo. The keys of its JSON are fixed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    orders: u64,
    completed: u64,
    cancelled: u64,
    declined: u64,
    out_of_stock: u64,
    undeliverable: u64,
    stuck: u64,
    charged_twice: u64,
    not_refunded: u64,
    stock_drift: u64,
    lost_events: u64,
    rows_audited: u64,
    kills: u64,
    platform_kills: u64,
    kills_while_open: u64,
    sagas_recovered: u64,
    p50_ms: u64,
    p99_ms: u64,
    elapsed_ms: u64,
}

/// How many processes were killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kills {
    /// All.
    pub(crate) all: u64,
    /// Of these, the platform.
    pub(crate) platform: u64,
    /// Kills during which the same order or saga was open before and after.
    pub(crate) while_open: u64,
}

impl Summary {
    /// What the books say.
    pub(crate) fn of(books: &Books) -> Self {
        Self {
            orders: books.orders,
            completed: books.completed,
            cancelled: books.cancelled,
            declined: books.declined,
            out_of_stock: books.out_of_stock,
            undeliverable: books.undeliverable,
            stuck: books.stuck,
            charged_twice: books.charged_twice,
            not_refunded: books.not_refunded,
            stock_drift: books.stock_drift,
            lost_events: books.lost_events,
            rows_audited: books.rows_audited,
            ..Self::default()
        }
    }

    /// The same with how long it took: all of it, and each order of this run.
    pub(crate) fn timed(mut self, elapsed: Duration, mut orders: Vec<Duration>) -> Self {
        orders.sort_unstable();
        let at = |share: f64| {
            let rank = (orders.len() as f64 * share).ceil() as usize;
            orders
                .get(rank.saturating_sub(1))
                .map_or(0, |d| d.as_millis() as u64)
        };
        self.p50_ms = at(0.50);
        self.p99_ms = at(0.99);
        self.elapsed_ms = elapsed.as_millis() as u64;
        self
    }

    /// The same with how many sagas were interrupted, by an earlier demo's end or the platform's, and
    /// have ended since.
    pub(crate) const fn recovered(mut self, sagas: u64) -> Self {
        self.sagas_recovered = sagas;
        self
    }

    /// The same with the processes that were killed.
    pub(crate) const fn killed(mut self, kills: Kills) -> Self {
        (self.kills, self.platform_kills) = (kills.all, kills.platform);
        self.kills_while_open = kills.while_open;
        self
    }

    /// One line.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// A table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["orders", "", "books", "", "time", ""]);
        let row = |cells: [(&str, u64); 3]| {
            cells
                .into_iter()
                .flat_map(|(name, n)| [name.to_owned(), n.to_string()])
                .collect::<Vec<_>>()
        };
        table.add_row(row([
            ("placed", self.orders),
            ("charged twice", self.charged_twice),
            ("p50 ms", self.p50_ms),
        ]));
        table.add_row(row([
            ("completed", self.completed),
            ("not refunded", self.not_refunded),
            ("p99 ms", self.p99_ms),
        ]));
        table.add_row(row([
            ("declined", self.declined),
            ("stock drift", self.stock_drift),
            ("all ms", self.elapsed_ms),
        ]));
        table.add_row(row([
            ("out of stock", self.out_of_stock),
            ("lost events", self.lost_events),
            ("sagas recovered", self.sagas_recovered),
        ]));
        table.add_row(row([
            ("undeliverable", self.undeliverable),
            ("stuck", self.stuck),
            ("rows audited", self.rows_audited),
        ]));
        table.add_row(row([
            ("kills", self.kills),
            ("of the platform", self.platform_kills),
            ("while open", self.kills_while_open),
        ]));
        table.to_string()
    }
}

/// What was found, in sentences; empty if the books balance.
pub(crate) fn findings(books: &Books) -> String {
    let mut text = String::new();
    for finding in books.findings() {
        text.push_str("  - ");
        text.push_str(finding);
        text.push('\n');
    }
    if books.more() > 0 {
        text.push_str(&format!("  - and {} more\n", books.more()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_promised_keys_in_order() {
        let json = Summary::default().json().expect("json");
        let keys: Vec<&str> = json.split('"').skip(1).step_by(2).collect();
        let promised = "orders,completed,cancelled,declined,outOfStock,undeliverable,stuck,\
            chargedTwice,notRefunded,stockDrift,lostEvents,rowsAudited,kills,platformKills,\
            killsWhileOpen,sagasRecovered,p50Ms,p99Ms,elapsedMs";
        assert_eq!(keys.join(","), promised);
    }

    #[test]
    fn percentiles_are_of_this_runs_orders() {
        let orders = (1..=100).rev().map(Duration::from_millis).collect();
        let summary = Summary::default().timed(Duration::from_secs(1), orders);
        assert_eq!(
            (summary.p50_ms, summary.p99_ms, summary.elapsed_ms),
            (50, 99, 1_000)
        );
        assert_eq!(Summary::default().timed(Duration::ZERO, vec![]).p99_ms, 0);
    }
}
