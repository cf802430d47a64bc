//! The log in SQLite: events, stream heads, tags, fences and leases, checkpoints.
//!
//! Positions and versions are taken from counters in the same transaction as the event, so that
//! they are gap-free, in commit order, and never used twice, also after a tail was deleted.
//! [`Log`] is the log as a port; [`append_in`] and [`read_in`] work inside a service's own
//! transaction.

mod append;
mod failure;
mod lease;
mod read;
mod row;
mod store;

pub use append::append_in;
pub use read::read_in;
pub use store::Log;

pub(crate) use append::{append_checked, recorded};
pub(crate) use failure::Failure;
pub(crate) use read::{category_events, event_at, head, incarnation_of};
pub(crate) use row::{signed, unsigned};

use super::Migration;

/// The schema of the log.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        component: "log",
        version: 1,
        sql: include_str!("schema.sql"),
    },
    Migration {
        component: "log",
        version: 2,
        sql: include_str!("leases.sql"),
    },
];
