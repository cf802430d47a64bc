//! Is every coin where it belongs?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::orders::{End, Orders};
use super::payments;

/// What the ledger says of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    captures: u64,
    captured: i64,
    refunded: i64,
}

/// Captured − refunded = the totals of the completed orders, order by order.
pub(super) fn check(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let ledger = ledger(book)?;
    let payments = payments::read(book)?;
    payments::check(orders, &payments, &ledger, books);
    let statuses = payments::statuses(&payments);
    let accounts = accounts(ledger, books);
    for (id, order) in orders {
        let account = accounts.get(id).copied().unwrap_or_default();
        let kept = account.captured - account.refunded;
        let statuses = statuses.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let taken = statuses.iter().filter(|status| **status != "declined");
        let times = account.captures.max(taken.count() as u64);
        if times > 1 {
            books.charged_twice += 1;
            books.find(format_args!("order {id} was charged {times} times"));
        }
        match order.end {
            End::Cancelled(_) if kept != 0 || statuses.contains(&"completed") => {
                books.not_refunded += 1;
                books.find(format_args!(
                    "order {id} was cancelled, and {kept} was not refunded"
                ));
            }
            End::Completed if kept != order.total && account.captures <= 1 => {
                books.find(format_args!(
                    "order {id} costs {}, and {kept} was paid",
                    order.total
                ));
            }
            _ => {}
        }
    }
    for id in accounts.keys().filter(|id| !orders.contains_key(*id)) {
        books.find(format_args!(
            "money moved for order {id}, which does not exist"
        ));
    }
    Ok(())
}

/// Reads the ledger, oldest entry first.
fn ledger(book: &Reading<'_>) -> Result<Vec<Entry>> {
    book.rows(
        "SELECT txn, payment_id, order_id, kind, account, amount, currency
         FROM ledger ORDER BY id",
        |row| {
            Ok(Entry {
                txn: row.get(0)?,
                payment_id: row.get(1)?,
                order_id: row.get(2)?,
                kind: row.get(3)?,
                account: row.get(4)?,
                amount: row.get(5)?,
                currency: row.get(6)?,
            })
        },
    )
}

/// Folds the ledger: every transaction is balanced, and the sales account tells what was kept.
fn accounts(ledger: Vec<Entry>, books: &mut Books) -> BTreeMap<String, Account> {
    let mut sums = BTreeMap::<String, i64>::new();
    let mut accounts = BTreeMap::<String, Account>::new();
    for entry in ledger {
        *sums.entry(entry.txn).or_default() += entry.amount;
        if entry.account != "sales" {
            continue;
        }
        let account = accounts.entry(entry.order_id).or_default();
        if entry.kind == "capture" {
            account.captures += 1;
            account.captured -= entry.amount;
        } else {
            account.refunded += entry.amount;
        }
    }
    for (txn, sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
        books.find(format_args!(
            "transaction {txn} of the ledger is off by {sum}"
        ));
    }
    accounts
}

/// A line of the ledger: debits are positive, credits negative.
pub(super) struct Entry {
    pub(super) txn: String,
    pub(super) payment_id: String,
    pub(super) order_id: String,
    pub(super) kind: String,
    pub(super) account: String,
    pub(super) amount: i64,
    pub(super) currency: String,
}
