//! Did the services in other languages do their part once, and undo it where it had to be undone?
//!
//! Which orders they had a part in is read from the sagas in the platform's log; what they did, from
//! their own ledgers, as these are documented.

mod ledgers;
mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::book::{Reading, Tally};
use super::books::Books;
use super::orders::{End, Order, Orders};

/// The saga in which these services take part.
const SAGA: &str = "place-order-polyglot";

/// What one service did.
struct Ledger {
    /// Its name.
    service: &'static str,
    /// What it was to do for an order, in its own unit.
    due: fn(&Order) -> i64,
    /// Everything that it did, oldest first.
    entries: Vec<Entry>,
}

/// An effect, or the undoing of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    order_id: String,
    /// 1, or -1 if it undoes.
    times: i64,
    /// How much, less what was undone.
    amount: i64,
    /// Whose, where the service knows.
    user_id: Option<String>,
}

/// What is left of a service's part in one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    times: i64,
    amount: i64,
}

/// A completed order that these services had a part in has exactly one effect of each, a cancelled one
/// none that was not undone, and any other order none at all.
pub(super) fn check(
    data: &Path,
    orders: &Orders,
    log: &Reading<'_>,
    tally: &Tally,
    books: &mut Books,
) -> Result<()> {
    let theirs = orders_of(log)?;
    for ledger in ledgers::read(data, tally, books)? {
        let left = left(&ledger);
        for (id, order) in orders {
            let left = left.get(id.as_str()).copied();
            if theirs.contains(id) {
                check_order(&ledger, id, order, left.unwrap_or_default(), books);
            }
        }
        for id in left.keys().filter(|id| !theirs.contains(**id)) {
            books.find(format_args!(
                "{} did something for order {id}, in which it has no part",
                ledger.service
            ));
        }
        for entry in &ledger.entries {
            let order = orders.get(&entry.order_id);
            let owner = order.map(|order| &order.user_id);
            if entry.user_id.is_some() && entry.user_id.as_ref() != owner {
                books.find(format_args!(
                    "{} did something for order {} that is not its customer's",
                    ledger.service, entry.order_id
                ));
            }
        }
    }
    Ok(())
}

fn check_order(ledger: &Ledger, id: &str, order: &Order, left: Left, books: &mut Books) {
    let service = ledger.service;
    let due = (ledger.due)(order);
    match order.end {
        End::Open => {}
        _ if left.times > 1 => {
            books.charged_twice += 1;
            books.find(format_args!(
                "{service} did its part of order {id} {} times",
                left.times
            ));
        }
        End::Completed if left.times < 1 => {
            books.lose(&format!("{service} {id}"));
            books.find(format_args!(
                "order {id} was completed without the part of {service}"
            ));
        }
        End::Completed if left.amount != due => books.find(format_args!(
            "{service} did {} for order {id} instead of {due}",
            left.amount
        )),
        End::Cancelled(_) if left.times > 0 || left.amount > 0 => {
            books.not_refunded += 1;
            books.find(format_args!(
                "order {id} was cancelled, and {service} did not undo its part"
            ));
        }
        End::Cancelled(_) if left != Left::default() => books.find(format_args!(
            "{service} undid more of order {id} than it did"
        )),
        End::Completed | End::Cancelled(_) => {}
    }
}

fn left(ledger: &Ledger) -> BTreeMap<&str, Left> {
    let mut left = BTreeMap::<&str, Left>::new();
    for entry in &ledger.entries {
        let of_order = left.entry(&entry.order_id).or_default();
        of_order.times += entry.times;
        of_order.amount += entry.amount;
    }
    left
}

/// The orders that the saga with these services drives.
fn orders_of(log: &Reading<'_>) -> Result<BTreeSet<String>> {
    let sql = format!(
        "SELECT CAST(data AS TEXT) FROM ieum_events
         WHERE category = 'saga' AND type = 'saga.started' AND CAST(data AS TEXT) LIKE '%{SAGA}%'"
    );
    let mut theirs = BTreeSet::new();
    for data in log.rows(&sql, |row| row.get::<String>(0))? {
        let started: Value =
            serde_json::from_str(&data).context("the beginning of a saga is not JSON")?;
        let order_id = started["input"]["orderId"].as_str();
        if let Some(order_id) = order_id.filter(|_| started["definition"] == SAGA) {
            theirs.insert(order_id.to_owned());
        }
    }
    Ok(theirs)
}
