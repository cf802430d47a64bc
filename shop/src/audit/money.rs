//! Is every coin where it belongs?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::orders::{End, Orders};

/// What the ledger says of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    captures: u64,
    captured: i64,
    refunded: i64,
}

/// Captured − refunded = the totals of the completed orders, order by order.
pub(super) fn check(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let accounts = accounts(book, books)?;
    for (id, order) in orders {
        let account = accounts.get(id).copied().unwrap_or_default();
        let kept = account.captured - account.refunded;
        if account.captures > 1 {
            books.charged_twice += 1;
            books.find(format_args!(
                "order {id} was charged {} times",
                account.captures
            ));
        }
        match order.end {
            End::Cancelled(_) if kept != 0 => {
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

/// Folds the ledger: every transaction is balanced, and the sales account tells what was kept.
fn accounts(book: &Reading<'_>, books: &mut Books) -> Result<BTreeMap<String, Account>> {
    let entries = book.rows(
        "SELECT txn, order_id, kind, account, amount FROM ledger ORDER BY id",
        |row| {
            Ok(Entry {
                txn: row.get(0)?,
                order_id: row.get(1)?,
                kind: row.get(2)?,
                account: row.get(3)?,
                amount: row.get(4)?,
            })
        },
    )?;
    let mut sums = BTreeMap::<String, i64>::new();
    let mut accounts = BTreeMap::<String, Account>::new();
    for entry in entries {
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
    Ok(accounts)
}

/// A line of the ledger: debits are positive, credits negative.
struct Entry {
    txn: String,
    order_id: String,
    kind: String,
    account: String,
    amount: i64,
}
