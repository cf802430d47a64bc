//! The table of analytics.

use std::collections::BTreeMap;

use ieum::sql::{Migration, Reader};

use crate::support::failure::Reply;
use crate::support::work::Work;

/// The schema. Nothing here forbids a second fact for one event: that it does not happen is the
/// inbox's work, and the auditor looks.
pub(super) const TABLES: Migration = Migration {
    component: "analytics",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE facts (
        id INTEGER PRIMARY KEY,
        event_source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        name TEXT NOT NULL,
        user_id TEXT,
        order_id TEXT,
        amount INTEGER,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX facts_by_name ON facts (name);";

const POSTGRES: &str = r#"
    CREATE TABLE facts (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        name TEXT COLLATE "C" NOT NULL,
        user_id TEXT,
        order_id TEXT,
        amount BIGINT,
        at BIGINT NOT NULL
    );
    CREATE INDEX facts_by_name ON facts (name);"#;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Fact<'a> {
    pub(super) event_source: &'a str,
    pub(super) event_id: &'a str,
    /// `user_registered`, `order_placed`, …
    pub(super) name: &'a str,
    pub(super) user_id: Option<&'a str>,
    pub(super) order_id: Option<&'a str>,
    /// Minor units, where money is concerned.
    pub(super) amount: Option<i64>,
}

/// Keeps a fact.
pub(super) fn keep(work: &Work<'_>, fact: &Fact<'_>) -> Reply<()> {
    work.execute(
        "INSERT INTO facts (event_source, event_id, name, user_id, order_id, amount, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        (
            fact.event_source,
            fact.event_id,
            fact.name,
            fact.user_id,
            fact.order_id,
            fact.amount,
            work.now(),
        ),
    )?;
    Ok(())
}

/// How often each thing happened.
pub(super) fn counts(db: &Reader<'_>) -> Reply<BTreeMap<String, i64>> {
    let sql = "SELECT name, count(*) FROM facts GROUP BY name";
    let counts = db.rows(sql, (), |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(counts?.into_iter().collect())
}

/// What came in and did not go back, in minor units.
pub(super) fn revenue(db: &Reader<'_>) -> Reply<i64> {
    let sql = "SELECT CAST(coalesce(sum(CASE name WHEN 'payment_completed' THEN amount
                                                  WHEN 'payment_refunded' THEN -amount END), 0)
                       AS BIGINT)
         FROM facts";
    Ok(db.row(sql, (), |row| row.get(0))?.unwrap_or(0))
}
