//! The tables of inventory, and what is done to them inside a transaction.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::domain::{self, Line, Refusal};
use crate::support::failure::Reply;
use crate::support::sabotage::{Sabotage, strikes};
use crate::support::work::Work;

/// The schema.
pub(super) const TABLES: &str = "
    CREATE TABLE stock (
        product_id TEXT PRIMARY KEY,
        initial INTEGER NOT NULL CHECK (initial >= 0),
        stock INTEGER NOT NULL CHECK (stock >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reservations (
        order_id TEXT NOT NULL,
        product_id TEXT NOT NULL REFERENCES stock (product_id),
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        status TEXT NOT NULL CHECK (status IN ('held', 'released')),
        PRIMARY KEY (order_id, product_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reservations_held ON reservations (product_id) WHERE status = 'held';";

/// What is known of a product's stock.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shelf {
    pub(super) product_id: String,
    /// The pieces that are free.
    pub(super) stock: i64,
    /// The pieces set aside for orders, or sold.
    pub(super) reserved: i64,
}

/// Puts the first pieces of a new product on the shelf.
pub(super) fn stock_up(db: &Connection, product_id: &str, pieces: i64) -> Reply<()> {
    db.prepare_cached("INSERT INTO stock (product_id, initial, stock) VALUES (?1, ?2, ?2)")?
        .execute((product_id, pieces))?;
    Ok(())
}

/// The stock of a product; `None` if it is not known.
pub(super) fn shelf(db: &Connection, product_id: &str) -> Reply<Option<Shelf>> {
    let shelf = db
        .prepare_cached(
            "SELECT stock, (SELECT coalesce(sum(quantity), 0) FROM reservations r
                            WHERE r.product_id = s.product_id AND status = 'held')
             FROM stock s WHERE product_id = ?1",
        )?
        .query_row([product_id], |row| {
            Ok(Shelf {
                product_id: product_id.to_owned(),
                stock: row.get(0)?,
                reserved: row.get(1)?,
            })
        })
        .optional()?;
    Ok(shelf)
}

/// The stock of the products after `after`, by their ids.
pub(super) fn shelves(db: &Connection, after: &str, limit: u32) -> Reply<Vec<Shelf>> {
    let mut shelves = db.prepare_cached(
        "SELECT product_id, stock, (SELECT coalesce(sum(quantity), 0) FROM reservations r
                                    WHERE r.product_id = s.product_id AND status = 'held')
         FROM stock s WHERE product_id > ?1 ORDER BY product_id LIMIT ?2",
    )?;
    let shelves = shelves.query_map((after, limit), |row| {
        Ok(Shelf {
            product_id: row.get(0)?,
            stock: row.get(1)?,
            reserved: row.get(2)?,
        })
    })?;
    Ok(shelves.collect::<Result<_, _>>()?)
}

/// Sets aside everything that an order needs, or nothing.
pub(super) fn reserve(
    work: &Work<'_>,
    order_id: &str,
    lines: &[Line],
) -> Reply<Result<(), Refusal>> {
    let mut free = work.prepare_cached("SELECT stock FROM stock WHERE product_id = ?1")?;
    let wanted = domain::reserve(lines, |product_id| {
        free.query_row([product_id], |row| row.get(0)).optional()
    })?;
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut leak = i64::from(leaks(work)?);
    for (product_id, quantity) in wanted {
        work.prepare_cached("UPDATE stock SET stock = stock - ?2 WHERE product_id = ?1")?
            .execute((&product_id, quantity + leak))?;
        work.prepare_cached("INSERT INTO reservations VALUES (?1, ?2, ?3, 'held')")?
            .execute((order_id, &product_id, quantity))?;
        leak = 0;
    }
    Ok(Ok(()))
}

/// Puts back what an order held. Nothing held, or put back before, is nothing to do.
pub(super) fn release(work: &Work<'_>, order_id: &str) -> Reply<()> {
    work.prepare_cached(
        "UPDATE stock SET stock = stock + held.quantity
         FROM (SELECT product_id, quantity FROM reservations
               WHERE order_id = ?1 AND status = 'held') AS held
         WHERE stock.product_id = held.product_id",
    )?
    .execute([order_id])?;
    work.prepare_cached("UPDATE reservations SET status = 'released' WHERE order_id = ?1")?
        .execute([order_id])?;
    Ok(())
}

/// True if the planted defect takes one piece too many this time.
fn leaks(work: &Work<'_>) -> Reply<bool> {
    if work.sabotage() != Some(Sabotage::LeakStock) {
        return Ok(false);
    }
    let orders = work.query_row(
        "SELECT count(DISTINCT order_id) FROM reservations",
        [],
        |row| row.get::<_, i64>(0),
    )?;
    Ok(strikes(work.sabotage(), Sabotage::LeakStock, orders))
}
