//! The engine: runs the sagas of one log, or its share of them.
//!
//! The sagas of a log are divided into partitions (`layout.rs`), by a hash of their ids. Each
//! partition is owned by one engine at a time, by a lease whose epoch is the fence under which
//! everything is written (`partition.rs`). One task per open saga (`saga.rs`) asks the rules what is
//! next, writes it down, and only then calls. Nothing is shared between sagas except the log, so
//! their appends meet in the log's group commit.
//!
//! An engine is either *alone* on its log, as on SQLite, where another process cannot open the file:
//! it takes every lease at once, whoever had it, and renews none; a second one that starts raises
//! the epochs, and the first stops. Or it *shares* the log ([`Sharing`]): it keeps its fair share of
//! the partitions ([`ieum_eventstore::ownership`]), follows the log (`follow.rs`) to learn which
//! sagas others started, and sends commands to sagas of others through the log (`commands.rs`).
//! Event triggers are a partition of their own.
//!
//! A [`Handle`] works in the same way on every platform: whoever it is asked of, a saga is started,
//! found, cancelled and resumed.

mod commands;
mod config;
mod definitions;
mod error;
mod fold;
mod follow;
mod handle;
mod index;
mod layout;
mod live;
mod partition;
mod presence;
mod recovery;
mod right;
mod saga;
mod service;
mod shared;
mod spans;
mod trigger;
mod waiting;
mod writer;

pub use commands::Obeyed;
pub use config::Config;
pub use definitions::{Defined, DefinitionSummary};
pub use error::{Error, ErrorKind, Result};
pub use handle::{Handle, List, Receipt, Start};
pub use index::{Stalled, Summary};
pub use service::{Deps, Service, Sharing};
pub use trigger::TriggerStatus;
