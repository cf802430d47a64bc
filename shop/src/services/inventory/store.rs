//! The tables of inventory, and what is done to them inside a transaction.

use ieum::sql::{Migration, Reader, Row};
use serde::Serialize;

use super::domain::{self, Line, Refusal};
use crate::support::failure::Reply;
use crate::support::sabotage::{Sabotage, strikes};
use crate::support::work::Work;

/// The schema.
pub(super) const TABLES: Migration = Migration {
    component: "inventory",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
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

const POSTGRES: &str = r#"
    CREATE TABLE stock (
        product_id TEXT COLLATE "C" PRIMARY KEY,
        initial BIGINT NOT NULL CHECK (initial >= 0),
        stock BIGINT NOT NULL CHECK (stock >= 0)
    );
    CREATE TABLE reservations (
        order_id TEXT COLLATE "C" NOT NULL,
        product_id TEXT COLLATE "C" NOT NULL REFERENCES stock (product_id),
        quantity BIGINT NOT NULL CHECK (quantity > 0),
        status TEXT NOT NULL CHECK (status IN ('held', 'released')),
        PRIMARY KEY (order_id, product_id)
    );
    CREATE INDEX reservations_held ON reservations (product_id) WHERE status = 'held';"#;

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
pub(super) fn stock_up(work: &Work<'_>, product_id: &str, pieces: i64) -> Reply<()> {
    let sql = "INSERT INTO stock (product_id, initial, stock) VALUES ($1, $2, $2)";
    work.execute(sql, (product_id, pieces))?;
    Ok(())
}

/// A shelf, from `stock s`.
const SHELF: &str = "SELECT product_id, stock,
        (SELECT CAST(coalesce(sum(quantity), 0) AS BIGINT) FROM reservations r
         WHERE r.product_id = s.product_id AND status = 'held')
    FROM stock s";

/// The stock of a product; `None` if it is not known.
pub(super) fn shelf(db: &Reader<'_>, product_id: &str) -> Reply<Option<Shelf>> {
    let sql = format!("{SHELF} WHERE product_id = $1");
    Ok(db.row(&sql, [product_id], read)?)
}

/// The stock of the products after `after`, by their ids.
pub(super) fn shelves(db: &Reader<'_>, after: &str, limit: u32) -> Reply<Vec<Shelf>> {
    let sql = format!("{SHELF} WHERE product_id > $1 ORDER BY product_id LIMIT $2");
    Ok(db.rows(&sql, (after, limit), read)?)
}

fn read(row: &Row<'_>) -> ieum::sql::Result<Shelf> {
    Ok(Shelf {
        product_id: row.get(0)?,
        stock: row.get(1)?,
        reserved: row.get(2)?,
    })
}

/// Sets aside everything that an order needs, or nothing.
pub(super) fn reserve(
    work: &Work<'_>,
    order_id: &str,
    lines: &[Line],
) -> Reply<Result<(), Refusal>> {
    lock_order(work, order_id)?;
    // In the order of their ids, as everybody who locks several.
    let wanted = domain::reserve(lines, |product_id| {
        lock_product(work, product_id)?;
        let sql = "SELECT stock FROM stock WHERE product_id = $1";
        Reply::Ok(work.row(sql, [product_id], |row| row.get(0))?)
    })?;
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut leak = i64::from(leaks(work)?);
    for (product_id, quantity) in wanted {
        work.execute(
            "UPDATE stock SET stock = stock - $2 WHERE product_id = $1",
            (&product_id, quantity + leak),
        )?;
        work.execute(
            "INSERT INTO reservations VALUES ($1, $2, $3, 'held')",
            (order_id, &product_id, quantity),
        )?;
        leak = 0;
    }
    Ok(Ok(()))
}

/// Puts back what an order held. Nothing held, or put back before, is nothing to do.
pub(super) fn release(work: &Work<'_>, order_id: &str) -> Reply<()> {
    lock_order(work, order_id)?;
    let held = work.rows(
        "SELECT product_id, quantity FROM reservations
         WHERE order_id = $1 AND status = 'held' ORDER BY product_id",
        [order_id],
        |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)),
    )?;
    for (product_id, quantity) in held {
        lock_product(work, &product_id)?;
        work.execute(
            "UPDATE stock SET stock = stock + $2 WHERE product_id = $1",
            (&product_id, quantity),
        )?;
    }
    let sql = "UPDATE reservations SET status = 'released' WHERE order_id = $1";
    work.execute(sql, [order_id])?;
    Ok(())
}

/// Of two who act for one order at once the second sees what the first did.
fn lock_order(work: &Work<'_>, order_id: &str) -> Reply<()> {
    Ok(work.lock(&format!("order {order_id}"))?)
}

/// Nobody else takes of this product, or puts back, until the transaction ends.
fn lock_product(work: &Work<'_>, product_id: &str) -> Reply<()> {
    Ok(work.lock(&format!("product {product_id}"))?)
}

/// True if the planted defect takes one piece too many this time.
fn leaks(work: &Work<'_>) -> Reply<bool> {
    if work.sabotage() != Some(Sabotage::LeakStock) {
        return Ok(false);
    }
    work.lock("sabotage")?;
    let sql = "SELECT count(DISTINCT order_id) FROM reservations";
    let orders = work.row(sql, (), |row| row.get(0))?.unwrap_or(0);
    Ok(strikes(work.sabotage(), Sabotage::LeakStock, orders))
}
