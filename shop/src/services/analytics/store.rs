//! The table of analytics.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::support::failure::Reply;
use crate::support::work::Work;

/// The schema. Nothing here forbids a second fact for one event: that it does not happen is the
/// inbox's work, and the auditor looks.
pub(super) const TABLES: &str = "
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
    work.prepare_cached(
        "INSERT INTO facts (event_source, event_id, name, user_id, order_id, amount, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        fact.event_source,
        fact.event_id,
        fact.name,
        fact.user_id,
        fact.order_id,
        fact.amount,
        work.now().as_micros(),
    ))?;
    Ok(())
}

/// How often each thing happened.
pub(super) fn counts(db: &Connection) -> Reply<BTreeMap<String, i64>> {
    let counts = db
        .prepare_cached("SELECT name, count(*) FROM facts GROUP BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(counts)
}

/// What came in and did not go back, in minor units.
pub(super) fn revenue(db: &Connection) -> Reply<i64> {
    let revenue = db
        .prepare_cached(
            "SELECT coalesce(sum(CASE name WHEN 'payment_completed' THEN amount
                                           WHEN 'payment_refunded' THEN -amount END), 0)
             FROM facts",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(revenue)
}
