//! Is every order on its way once, and none that was given up?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::orders::{End, Orders};

/// A completed order has one shipment, a cancelled one none that was not cancelled too.
pub(super) fn check(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let shipments = book.rows("SELECT order_id, status, user_id FROM shipments", |row| {
        let (order_id, status, user_id) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok::<(String, String, String), _>((order_id, status, user_id))
    })?;
    let mut sent = BTreeMap::<String, u64>::new();
    for (order_id, status, user_id) in shipments {
        let order = orders.get(&order_id);
        if order.is_some_and(|order| order.user_id != user_id) {
            books.find(format_args!("order {order_id} was sent to somebody else"));
        }
        if status != "cancelled" {
            *sent.entry(order_id).or_default() += 1;
        }
    }
    for (id, order) in orders {
        let expected = match order.end {
            End::Open => continue,
            End::Completed => 1,
            End::Cancelled(_) => 0,
        };
        let times = sent.get(id).copied().unwrap_or(0);
        if times != expected {
            books.find(format_args!(
                "order {id} was sent {times} times instead of {expected}"
            ));
        }
    }
    for id in sent.keys().filter(|id| !orders.contains_key(*id)) {
        books.find(format_args!(
            "something was sent for order {id}, which does not exist"
        ));
    }
    Ok(())
}
