//! SQLite: the log, and outbox, inbox, barrier and idempotency records for a service's own database.
//!
//! One [`sqlite::Database`] owns one file. On it stand [`sqlite::Log`] and [`sqlite::Topics`] for the
//! platform, and for a service `sqlite::{outbox, inbox, barrier, idempotency}`, each a few functions
//! that work inside the service's own transaction.

pub mod database;
mod error;
mod participant;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod sqlite;
mod topics;

pub use database::{Database, Migration, Reader, Row, Tx, Value};
pub use database::{barrier, idempotency, inbox, outbox, streams, view};
pub use error::{Error, ErrorKind, Result};
pub use participant::Answer;
pub use rusqlite;
