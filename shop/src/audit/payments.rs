//! Does each payment say what was ordered, and what the ledger says?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::money::Entry;
use super::orders::{End, Order, Orders};

/// A payment, as its row tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) order_id: String,
    pub(super) user_id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    /// The account beside `sales`.
    pub(super) payer: String,
    pub(super) status: String,
}

/// All payments by id.
pub(super) type Payments = BTreeMap<String, Payment>;

/// Reads all payments.
pub(super) fn read(book: &Reading<'_>) -> Result<Payments> {
    let payments = book.rows(
        "SELECT id, order_id, user_id, amount, currency, payer, status FROM payments",
        |row| {
            let payment = Payment {
                order_id: row.get(1)?,
                user_id: row.get(2)?,
                amount: row.get(3)?,
                currency: row.get(4)?,
                payer: row.get(5)?,
                status: row.get(6)?,
            };
            Ok((row.get::<String>(0)?, payment))
        },
    )?;
    Ok(payments.into_iter().collect())
}

/// How the payments of each order ended.
pub(super) fn statuses(payments: &Payments) -> BTreeMap<&str, Vec<&str>> {
    let mut statuses = BTreeMap::<&str, Vec<&str>>::new();
    for payment in payments.values() {
        let of_order = statuses.entry(&payment.order_id).or_default();
        of_order.push(&payment.status);
    }
    statuses
}

/// Compares the payments with the orders and with the ledger.
pub(super) fn check(orders: &Orders, payments: &Payments, ledger: &[Entry], books: &mut Books) {
    check_ends(orders, payments, books);
    for (id, payment) in payments {
        match orders.get(&payment.order_id) {
            Some(order) if payment.is_for(order) => {}
            Some(_) => books.find(format_args!(
                "payment {id} is not over what order {} costs, or not its customer's",
                payment.order_id
            )),
            None => books.find(format_args!(
                "payment {id} is for order {}, which does not exist",
                payment.order_id
            )),
        }
    }
    check_ledger(payments, ledger, books);
}

/// Each order has the one payment that its end calls for; one that was out of stock has none.
fn check_ends(orders: &Orders, payments: &Payments, books: &mut Books) {
    let statuses = statuses(payments);
    for (id, order) in orders {
        let expected: &[&str] = match &order.end {
            End::Completed => &["completed"],
            End::Cancelled(reason) => match reason.as_str() {
                "payment-declined" => &["declined"],
                "address-undeliverable" => &["refunded"],
                "insufficient-inventory" => &[],
                _ => continue,
            },
            End::Open => continue,
        };
        let found = statuses.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        if found != expected {
            books.find(format_args!(
                "order {id} has the payments {found:?} instead of {expected:?}"
            ));
        }
    }
}

/// Each entry belongs to a payment, and together they move what the payment says.
fn check_ledger(payments: &Payments, ledger: &[Entry], books: &mut Books) {
    let mut moved = BTreeMap::<&str, (i64, i64)>::new();
    for entry in ledger {
        let payment = payments.get(&entry.payment_id);
        if !payment.is_some_and(|payment| payment.has(entry)) {
            books.find(format_args!(
                "an entry of transaction {} fits no payment",
                entry.txn
            ));
        }
        if entry.account == "sales" {
            let (captured, refunded) = moved.entry(&entry.payment_id).or_default();
            match entry.kind.as_str() {
                "capture" => *captured -= entry.amount,
                _ => *refunded += entry.amount,
            }
        }
    }
    for (id, payment) in payments {
        let found = moved.get(id.as_str()).copied().unwrap_or_default();
        let expected = match payment.status.as_str() {
            "completed" => (payment.amount, 0),
            "refunded" => (payment.amount, payment.amount),
            _ => (0, 0),
        };
        if found != expected {
            books.find(format_args!(
                "payment {id} is {}, and the ledger captured {} and refunded {} for it",
                payment.status, found.0, found.1
            ));
        }
    }
}

impl Payment {
    fn is_for(&self, order: &Order) -> bool {
        self.amount == order.total
            && self.currency == order.currency
            && self.user_id == order.user_id
    }

    fn has(&self, entry: &Entry) -> bool {
        self.order_id == entry.order_id
            && self.currency == entry.currency
            && (entry.account == "sales" || entry.account == self.payer)
    }
}
