//! The schema, component by component, so that several share one database.
//!
//! A component (the log, the outbox, a service's own tables) numbers its migrations from 1. Applied
//! ones are recorded in `ieum_migrations`; the missing ones run in one transaction when the database
//! is opened. A database that is ahead of this build is refused, before anything is changed.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::{Error, ErrorKind, Result};

/// One step of a component's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Whose schema it is, like `outbox`.
    pub component: &'static str,
    /// Its number: 1, 2, 3, … without gaps.
    pub version: u32,
    /// The statements.
    pub sql: &'static str,
}

/// The version of the file's own layout (`PRAGMA user_version`).
pub(super) const LAYOUT: u32 = 1;

/// Refuses a database whose schema this build does not know. Reads only.
pub(super) fn check_known(
    path: &Path,
    connection: &Connection,
    migrations: &[Migration],
) -> Result<()> {
    for (component, known) in known_versions(migrations)? {
        let found = applied(connection, component)?;
        if found > known {
            return Err(newer(path, component, found, known));
        }
    }
    Ok(())
}

/// Runs what is missing, in one transaction.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
    now: i64,
) -> Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS ieum_migrations (
             component TEXT NOT NULL, version INTEGER NOT NULL, applied_at INTEGER NOT NULL,
             PRIMARY KEY (component, version)) STRICT, WITHOUT ROWID",
    )?;
    for migration in migrations {
        if migration.version <= applied(&transaction, migration.component)? {
            continue;
        }
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO ieum_migrations (component, version, applied_at) VALUES (?1, ?2, ?3)",
            (migration.component, migration.version, now),
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// The text of a refusal, also for the layout itself.
pub(super) fn newer(path: &Path, what: &str, found: u32, known: u32) -> Error {
    Error::new(
        ErrorKind::Newer,
        format!(
            "{} was written by a newer version of ieum ({what}: schema {found}, this build knows \
             {known}): upgrade ieum, nothing was changed",
            path.display()
        ),
    )
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

fn applied(connection: &Connection, component: &str) -> Result<u32> {
    let tracked = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'ieum_migrations'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    if tracked.is_none() {
        return Ok(0);
    }
    let version: Option<u32> = connection.query_row(
        "SELECT max(version) FROM ieum_migrations WHERE component = ?1",
        [component],
        |row| row.get(0),
    )?;
    Ok(version.unwrap_or(0))
}
