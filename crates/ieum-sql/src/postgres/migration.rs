//! The schema, component by component, so that several share one database.
//!
//! A component (the log, the outbox, a service's own tables) numbers its migrations from 1. Applied
//! ones are recorded in `ieum_migrations`. The missing ones run in one transaction under an advisory
//! lock, so that processes that start together wait for each other and find the work done.

use std::collections::BTreeMap;

use ieum_base::EngineUrl;
use tokio_postgres::Transaction;

use super::Pool;
use crate::{Error, ErrorKind, Result};

/// One step of a component's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Whose schema it is, like `outbox`.
    pub component: &'static str,
    /// Its number: 1, 2, 3, … without gaps.
    pub version: u32,
    /// The statements. They run inside a transaction.
    pub sql: &'static str,
}

/// Runs what is missing. *Idempotent*; several processes may call it at once.
///
/// # Errors
/// `Newer`, and nothing was changed, if a component is ahead of this build; `Invalid` if the numbers
/// have gaps; `Denied` if the user may not create tables.
pub async fn migrate(pool: &Pool, migrations: &[Migration]) -> Result<()> {
    let known = known_versions(migrations)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    // Waiting for somebody else's migration may take longer than a statement may.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0")
        .await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    transaction.batch_execute(TRACKING).await?;
    let applied = applied(&transaction).await?;
    for (component, known) in known {
        let found = applied.get(component).copied().unwrap_or(0);
        if found > known {
            return Err(newer(pool.url(), component, found, known));
        }
    }
    let now = pool.clock().now().as_micros();
    for migration in migrations {
        if migration.version > applied.get(migration.component).copied().unwrap_or(0) {
            apply(&transaction, migration, now).await?;
        }
    }
    Ok(transaction.commit().await?)
}

async fn apply(transaction: &Transaction<'_>, migration: &Migration, now: i64) -> Result<()> {
    let failed = |error: tokio_postgres::Error| {
        let cause = Error::from(error);
        let context = format!(
            "migration {} of `{}` failed: {cause}",
            migration.version, migration.component
        );
        Error::with_source(cause.kind(), context, cause)
    };
    transaction
        .batch_execute(migration.sql)
        .await
        .map_err(failed)?;
    let version = i64::from(migration.version);
    transaction
        .execute(
            "INSERT INTO ieum_migrations (component, version, applied_at) VALUES ($1, $2, $3)",
            &[&migration.component, &version, &now],
        )
        .await?;
    Ok(())
}

async fn applied(transaction: &Transaction<'_>) -> Result<BTreeMap<String, u32>> {
    let rows = transaction
        .query(
            "SELECT component, max(version) FROM ieum_migrations GROUP BY component ORDER BY 1",
            &[],
        )
        .await?;
    let mut applied = BTreeMap::new();
    for row in rows {
        let version: i64 = row.try_get(1)?;
        applied.insert(row.try_get(0)?, u32::try_from(version).unwrap_or(u32::MAX));
    }
    Ok(applied)
}

fn known_versions(migrations: &[Migration]) -> Result<BTreeMap<&'static str, u32>> {
    let mut known = BTreeMap::new();
    for migration in migrations {
        let last: &mut u32 = known.entry(migration.component).or_default();
        if migration.version != *last + 1 {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "migration {} of `{}` follows {last}: number them 1, 2, 3, …",
                    migration.version, migration.component
                ),
            ));
        }
        *last = migration.version;
    }
    Ok(known)
}

fn newer(url: &EngineUrl, what: &str, found: u32, known: u32) -> Error {
    Error::new(
        ErrorKind::Newer,
        format!(
            "{url} was written by a newer version of ieum ({what}: schema {found}, this build knows \
             {known}): upgrade ieum, nothing was changed"
        ),
    )
}

/// The advisory lock under which schemas change: `ieum` and `migr` as bytes.
const LOCK: i64 = 0x6965_756d_6d69_6772;

const TRACKING: &str = "CREATE TABLE IF NOT EXISTS ieum_migrations (
     component text COLLATE \"C\" NOT NULL, version bigint NOT NULL, applied_at bigint NOT NULL,
     PRIMARY KEY (component, version))";
