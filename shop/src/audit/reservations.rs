//! Is for each order set aside what it needs, and nothing for one that was given up?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::orders::{End, Order, Orders};

/// What is set aside for an order: pieces and status per product.
type Lines = BTreeMap<String, (i64, String)>;

/// All reservations, by order.
pub(super) type Reservations = BTreeMap<String, Lines>;

/// Reads all reservations.
pub(super) fn read(book: &Reading<'_>) -> Result<Reservations> {
    let rows = book.rows(
        "SELECT order_id, product_id, quantity, status FROM reservations",
        |row| {
            let line = (row.get::<i64>(2)?, row.get::<String>(3)?);
            Ok((row.get::<String>(0)?, row.get::<String>(1)?, line))
        },
    )?;
    let mut reservations = Reservations::new();
    for (order_id, product, line) in rows {
        reservations
            .entry(order_id)
            .or_default()
            .insert(product, line);
    }
    Ok(reservations)
}

/// Compares what is set aside with what was ordered, line by line.
pub(super) fn check(orders: &Orders, reservations: &Reservations, books: &mut Books) {
    let none = Lines::new();
    for (id, order) in orders {
        let found = reservations.get(id).unwrap_or(&none);
        let expected = match &order.end {
            End::Open => continue,
            End::Completed => all(order, "held"),
            End::Cancelled(reason) => match reason.as_str() {
                "insufficient-inventory" => Lines::new(),
                "payment-declined" | "address-undeliverable" => all(order, "released"),
                // Whatever was set aside must have been put back.
                _ if found.is_empty() => continue,
                _ => all(order, "released"),
            },
        };
        if *found != expected {
            books.find(format_args!(
                "for order {id} is set aside {found:?} instead of {expected:?}"
            ));
        }
    }
    for id in reservations.keys().filter(|id| !orders.contains_key(*id)) {
        books.find(format_args!(
            "pieces were set aside for order {id}, which does not exist"
        ));
    }
}

fn all(order: &Order, status: &str) -> Lines {
    let pieces = order.pieces.iter();
    pieces
        .map(|(product, pieces)| (product.clone(), (*pieces, status.to_owned())))
        .collect()
}

/// Pieces set aside for orders that have not ended, by product.
pub(super) fn held_for_open_orders(
    orders: &Orders,
    reservations: &Reservations,
) -> BTreeMap<String, i64> {
    let mut open = BTreeMap::<String, i64>::new();
    for (id, lines) in reservations {
        if orders.get(id).is_none_or(|order| order.end != End::Open) {
            continue;
        }
        for (product, (quantity, status)) in lines {
            if status == "held" {
                *open.entry(product.clone()).or_default() += quantity;
            }
        }
    }
    open
}
