//! Cache: answers that are kept for a while, so that they need not be worked out again.
//!
//! [`Cache`] is a port: [`Memory`] is in the process, other engines are reached by URL and shared by
//! processes. A cache may forget anything at any time and may be gone altogether; it must never be
//! the reason why a request fails, and never answer what was forgotten. [`Aside`] keeps both promises
//! for code that reads through a cache and writes around it.
//!
//! The hard part is a reader that is slow: it misses, loads the old value, a writer changes the value
//! and forgets the key, and then the reader stores the old value for the whole time to live. So a
//! miss hands out a [`Ticket`], and only a ticket from after the last forgetting may fill: the
//! *lease* of Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013), section 3.2.1.
//!
//! Loads are not shared between readers of one key: who joins a load that began before a write was
//! answered would be answered the value from before it.

mod aside;
mod config;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
mod memory;
mod port;
#[cfg(test)]
mod tests;

pub use aside::{Aside, Figures};
pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use memory::Memory;
pub use port::{Cache, Lookup, Ticket, check_key};
