//! Is every piece sold, set aside, or still on the shelf?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::orders::{End, Orders};

/// Initial − sold = stock, product by product.
pub(super) fn check(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let held = held_for_open_orders(orders, book, books)?;
    let mut sold = BTreeMap::<&str, i64>::new();
    for order in orders.values().filter(|order| order.end == End::Completed) {
        for (product, pieces) in &order.pieces {
            *sold.entry(product).or_default() += pieces;
        }
    }
    let shelves = book.rows("SELECT product_id, initial, stock FROM stock", |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    })?;
    for (product, initial, stock) in &shelves {
        let gone = sold.remove(product.as_str()).unwrap_or(0) + held.get(product).unwrap_or(&0);
        let drift = initial - gone - stock;
        if drift != 0 {
            books.stock_drift += drift.unsigned_abs();
            books.find(format_args!("product {product} is off by {drift} pieces"));
        }
    }
    for (product, pieces) in sold {
        books.stock_drift += pieces.unsigned_abs();
        books.find(format_args!(
            "{pieces} pieces of {product}, which has no shelf, were sold"
        ));
    }
    Ok(())
}

/// Pieces set aside for orders that have not ended. A cancelled order must hold nothing.
fn held_for_open_orders(
    orders: &Orders,
    book: &Reading<'_>,
    books: &mut Books,
) -> Result<BTreeMap<String, i64>> {
    let held = book.rows(
        "SELECT order_id, product_id, quantity FROM reservations WHERE status = 'held'",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
            ))
        },
    )?;
    let mut open = BTreeMap::<String, i64>::new();
    for (order_id, product, quantity) in held {
        match orders.get(&order_id).map(|order| &order.end) {
            Some(End::Completed) => {}
            Some(End::Open) => *open.entry(product).or_default() += quantity,
            Some(End::Cancelled(_)) | None => books.find(format_args!(
                "{quantity} pieces of {product} are still set aside for order {order_id}"
            )),
        }
    }
    Ok(open)
}
