//! The table of products.

use ieum::base::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::support::failure::Reply;
use crate::support::text::{fold, like_anywhere};

/// The schema. `folded` is the name as it is searched for.
pub(super) const TABLES: &str = "
    CREATE TABLE products (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        price INTEGER NOT NULL CHECK (price >= 0),
        currency TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;";

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Product {
    pub(super) id: String,
    pub(super) name: String,
    /// Minor units.
    pub(super) price: i64,
    pub(super) currency: String,
    pub(super) created_at: Timestamp,
}

/// Adds a product, or replaces the one with its id.
pub(super) fn put(db: &Connection, product: &Product, now: Timestamp) -> Reply<()> {
    db.prepare_cached(
        "INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
             price = excluded.price, currency = excluded.currency, updated_at = excluded.updated_at",
    )?
    .execute((
        &product.id,
        &product.name,
        fold(&product.name),
        product.price,
        &product.currency,
        product.created_at.as_micros(),
        now.as_micros(),
    ))?;
    Ok(())
}

/// The product with this id.
pub(super) fn find(db: &Connection, id: &str) -> Reply<Option<Product>> {
    let product = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM products WHERE id = ?1"))?
        .query_row([id], product)
        .optional()?;
    Ok(product)
}

/// Products whose name has `part` in it, in order of their ids; `after` is the last one seen.
pub(super) fn search(
    db: &Connection,
    part: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Reply<Vec<Product>> {
    let pattern = part.map(|part| like_anywhere(&fold(part.trim())));
    let products = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM products
             WHERE (?1 IS NULL OR folded LIKE ?1 ESCAPE '\\') AND (?2 IS NULL OR id > ?2)
             ORDER BY id LIMIT ?3"
        ))?
        .query_map((pattern, after, limit), product)?
        .collect::<Result<_, _>>()?;
    Ok(products)
}

const COLUMNS: &str = "id, name, price, currency, created_at";

fn product(row: &Row<'_>) -> rusqlite::Result<Product> {
    Ok(Product {
        id: row.get(0)?,
        name: row.get(1)?,
        price: row.get(2)?,
        currency: row.get(3)?,
        created_at: Timestamp::from_micros(row.get(4)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these products does a search find?
    fn check(part: &str, found: &[&str]) {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch(TABLES).expect("a schema");
        for (id, name) in ["가죽운동화", "신발끈", "Canvas Bag 100%"]
            .iter()
            .enumerate()
        {
            let product = Product {
                id: format!("p-{id}"),
                name: (*name).to_owned(),
                price: 100,
                currency: "KRW".into(),
                created_at: Timestamp::default(),
            };
            put(&db, &product, Timestamp::default()).expect("added");
        }
        let products = search(&db, Some(part), None, 10).expect("found");
        let names: Vec<_> = products.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, found, "{part}");
    }

    #[test]
    fn search_finds_any_part_of_a_name() {
        check("신발", &["신발끈"]);
        check("운동화", &["가죽운동화"]);
        check("화", &["가죽운동화"]);
        check("\u{110B}\u{116E}\u{11AB}동", &["가죽운동화"]);
        check("canvas", &["Canvas Bag 100%"]);
        check("0%", &["Canvas Bag 100%"]);
        check("_", &[]);
        check("구두", &[]);
    }
}
