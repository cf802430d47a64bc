//! SQLite and PostgreSQL: the log, and outbox, inbox, barrier and idempotency records for a service's
//! own database.
//!
//! [`Database`] is a service's database on the engine that a URL names; `outbox`, `inbox`, `barrier`,
//! `idempotency`, `view` and `streams` work inside its transactions. Below it stand the engines: in
//! [`sqlite`] one process owns a file, in `postgres` (a feature) any number of processes share a
//! server. Each has a log and topics for the platform, and the service's tables for users of
//! `rusqlite` and `tokio-postgres`.

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
