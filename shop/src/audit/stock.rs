//! Is every piece sold, set aside, or still on the shelf?

use std::collections::BTreeMap;

use anyhow::Result;

use super::book::Reading;
use super::books::Books;
use super::events::Told;
use super::orders::{End, Orders};
use super::reservations;

/// Initial − sold = stock, product by product.
pub(super) fn check(
    told: &Told,
    orders: &Orders,
    book: &Reading<'_>,
    books: &mut Books,
) -> Result<()> {
    let reservations = reservations::read(book)?;
    reservations::check(orders, &reservations, books);
    let held = reservations::held_for_open_orders(orders, &reservations);
    let mut sold = BTreeMap::<&str, i64>::new();
    for order in orders.values().filter(|order| order.end == End::Completed) {
        for (product, pieces) in &order.pieces {
            *sold.entry(product).or_default() += pieces;
        }
    }
    let shelves = book.rows("SELECT product_id, initial, stock FROM stock", |row| {
        Ok((
            row.get::<String>(0)?,
            row.get::<i64>(1)?,
            row.get::<i64>(2)?,
        ))
    })?;
    check_beginning(told, &shelves, books);
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

/// Each product began with the pieces that `product.created` told.
fn check_beginning(told: &Told, shelves: &[(String, i64, i64)], books: &mut Books) {
    let created = told
        .values()
        .filter(|event| event.kind == "product.created");
    let mut created: BTreeMap<_, _> = created
        .map(|event| (event.subject.as_str(), event.data["stock"].as_i64()))
        .collect();
    for (product, initial, _) in shelves {
        let told = created.remove(product.as_str()).flatten();
        let drift = told.map_or(0, |told| initial - told);
        if drift != 0 {
            books.stock_drift += drift.unsigned_abs();
            books.find(format_args!(
                "product {product} began with {drift} pieces more than were told"
            ));
        }
    }
    for product in created.keys() {
        books.find(format_args!("product {product} has no shelf"));
    }
}
