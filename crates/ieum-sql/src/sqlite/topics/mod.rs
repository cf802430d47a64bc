//! Topics and consumer groups over the log.

use super::Migration;

/// The schema of groups and dead letters, beside that of the log.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "topics",
    version: 1,
    sql: include_str!("schema.sql"),
}];
