//! The table of products.

use ieum::base::Timestamp;
use ieum::sql::{Migration, Reader, Result, Row, Tx};
use serde::{Deserialize, Serialize};

use crate::support::failure::Reply;
use crate::support::text::{fold, like_anywhere};

/// The schema. `folded` is the name as it is searched for.
pub(super) const TABLES: Migration = Migration {
    component: "products",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE products (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        price INTEGER NOT NULL CHECK (price >= 0),
        currency TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;";

const POSTGRES: &str = r#"
    CREATE TABLE products (
        id TEXT COLLATE "C" PRIMARY KEY,
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        price BIGINT NOT NULL CHECK (price >= 0),
        currency TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    );"#;

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
pub(super) fn put(tx: &Tx<'_>, product: &Product, now: Timestamp) -> Reply<()> {
    tx.execute(
        "INSERT INTO products VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
             price = excluded.price, currency = excluded.currency, updated_at = excluded.updated_at",
        (
            &product.id,
            &product.name,
            fold(&product.name),
            product.price,
            &product.currency,
            product.created_at,
            now,
        ),
    )?;
    Ok(())
}

/// The product with this id, which nobody else changes until the transaction ends.
pub(super) fn take(tx: &Tx<'_>, id: &str) -> Reply<Option<Product>> {
    tx.lock(&format!("product {id}"))?;
    find(tx, id)
}

/// The product with this id.
pub(super) fn find(db: &Reader<'_>, id: &str) -> Reply<Option<Product>> {
    let sql = format!("SELECT {COLUMNS} FROM products WHERE id = $1");
    Ok(db.row(&sql, [id], product)?)
}

/// Products whose name has `part` in it, in order of their ids; `after` is the last one seen.
pub(super) fn search(
    db: &Reader<'_>,
    part: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Reply<Vec<Product>> {
    let pattern = part.map(|part| like_anywhere(&fold(part.trim())));
    let sql = format!(
        "SELECT {COLUMNS} FROM products
         WHERE ($1 IS NULL OR folded LIKE $1 ESCAPE '\\') AND ($2 IS NULL OR id > $2)
         ORDER BY id LIMIT $3"
    );
    Ok(db.rows(&sql, (pattern, after, limit), product)?)
}

const COLUMNS: &str = "id, name, price, currency, created_at";

fn product(row: &Row<'_>) -> Result<Product> {
    Ok(Product {
        id: row.get(0)?,
        name: row.get(1)?,
        price: row.get(2)?,
        currency: row.get(3)?,
        created_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::support::testing::Bench;

    /// Which of these products does a search find?
    async fn check(part: &'static str, found: &[&str]) {
        let bench = Bench::of(SPEC);
        let products = bench.work(move |work| {
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
                put(work, &product, Timestamp::default())?;
            }
            search(work, Some(part), None, 10)
        });
        let products = products.await.expect("found");
        let names: Vec<_> = products.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, found, "{part}");
    }

    #[tokio::test]
    async fn search_finds_any_part_of_a_name() {
        check("신발", &["신발끈"]).await;
        check("운동화", &["가죽운동화"]).await;
        check("화", &["가죽운동화"]).await;
        check("\u{110B}\u{116E}\u{11AB}동", &["가죽운동화"]).await;
        check("canvas", &["Canvas Bag 100%"]).await;
        check("0%", &["Canvas Bag 100%"]).await;
        check("_", &[]).await;
        check("구두", &[]).await;
    }
}
