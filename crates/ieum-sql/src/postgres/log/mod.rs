//! The log in PostgreSQL: events, stream heads, tags, fences and leases, checkpoints.
//!
//! Any number of processes append to one log. Each append is one autocommit call of one function
//! whose first statement locks the row with the last position: appends commit in the order of their
//! positions, and a position, like a version, comes from a counter that never goes back. So a reader
//! that has seen a position has seen everything before it, whoever else has a transaction open, and
//! no sequence or transaction id decides anything (docs/adr/0012). [`Log`] is the log as a port;
//! [`append_in`] and [`read_in`] work inside a service's own transaction.

mod append;
mod batch;
mod batcher;
mod checkpoint;
mod config;
mod lease;
mod listener;
mod read;
mod row;
mod store;

pub use append::append_in;
pub use config::Config;
pub use read::read_in;
pub use store::Log;

pub(crate) use row::{COLUMNS, event_of, signed, unsigned};

use super::Migration;

/// The schema of the log.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "log",
    version: 1,
    sql: concat!(
        include_str!("schema.sql"),
        include_str!("append.sql"),
        include_str!("owners.sql")
    ),
}];
