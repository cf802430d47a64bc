//! Keys, values and the sessions that lock them: what services agree on beside where they are.
//!
//! The rules are Consul's. A session stands for a client: while it lives it may hold keys; when it
//! ends (its TTL passed, a check of it failed, it was destroyed) its keys are released or deleted, and
//! for a while, its lock delay, nobody can take them. [`state`] is the pure fold, [`draft`] decides
//! several operations as one, [`Store`] keeps it all on the log, as one event per decision, so that
//! a transaction has one index and a restart replays exactly what was decided.
//!
//! Nothing is read and nothing runs before the first call.

mod config;
mod draft;
#[cfg(test)]
mod histories;
mod keeper;
mod model;
mod sharing;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod waiters;

pub use config::Config;
pub use model::{Behavior, Change, Entry, Found, Op, Outcome, Refusal, Session};
pub use state::State;
pub use store::Store;
pub use waiters::Watched;
