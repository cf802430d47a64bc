//! One SQLite file, one owner, one writer, many readers.
//!
//! SQLite allows one writer at a time and makes each commit wait for the disk. So one thread owns
//! the write connection and lets many callers share a commit ([`Database::write`]), readers have
//! connections of their own ([`Database::read`]), and the write-ahead log is copied into the file by
//! a third thread. A file belongs to one process: a lock file beside it says whose.

pub mod barrier;
mod checkpointer;
mod config;
mod database;
pub mod doctor;
mod doubt;
mod health;
pub mod idempotency;
pub mod inbox;
mod lock;
pub mod log;
mod migration;
mod open;
pub mod outbox;
mod readers;
pub mod topics;
mod tx;
pub mod view;
mod writer;

pub use crate::participant::Answer;
pub use config::{Config, Location, SCHEME};
pub use database::Database;
pub use log::Log;
pub use migration::Migration;
pub use topics::Topics;
pub use tx::Tx;
