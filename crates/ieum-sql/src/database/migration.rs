//! The schema, in the words of each engine.

use crate::sqlite;

/// One step of a component's schema, for both engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Whose schema it is, like `outbox`.
    pub component: &'static str,
    /// Its number: 1, 2, 3, … without gaps.
    pub version: u32,
    /// The statements for SQLite; empty if there is nothing to do there.
    pub sqlite: &'static str,
    /// The statements for PostgreSQL; empty if there is nothing to do there.
    pub postgres: &'static str,
}

impl Migration {
    /// A step of a part that both engines have.
    pub(super) const fn of(of: &sqlite::Migration, postgres: &'static str) -> Self {
        Self {
            component: of.component,
            version: of.version,
            sqlite: of.sql,
            postgres,
        }
    }
}

/// As PostgreSQL's runner wants them.
#[cfg(feature = "postgres")]
pub(super) fn for_postgres(migrations: &[Migration]) -> Vec<crate::postgres::Migration> {
    let steps = migrations.iter().filter(|step| !step.postgres.is_empty());
    let steps = steps.map(|step| crate::postgres::Migration {
        component: step.component,
        version: step.version,
        sql: step.postgres,
    });
    LIST.iter().copied().chain(steps).collect()
}

/// What every database has for statements that take a list.
#[cfg(feature = "postgres")]
const LIST: &[crate::postgres::Migration] = &[crate::postgres::Migration {
    component: "list",
    version: 1,
    sql: include_str!("../postgres/schema/list.sql"),
}];

/// As SQLite's runner wants them.
pub(super) fn for_sqlite(migrations: &[Migration]) -> Vec<sqlite::Migration> {
    let steps = migrations.iter().filter(|step| !step.sqlite.is_empty());
    let steps = steps.map(|step| sqlite::Migration {
        component: step.component,
        version: step.version,
        sql: step.sqlite,
    });
    steps.collect()
}
