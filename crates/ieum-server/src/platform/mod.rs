//! The platform in one process: the log, the registry, the sagas, the gateway and the API.
//!
//! [`Platform::start`] opens everything or nothing. The platform's work runs on a runtime of its
//! own, with few threads; the gateway's data path has one more per core. What is started last is
//! stopped first, each stage with a deadline, and what was abandoned is said.
//!
//! A process that is a gateway only and follows the registry of another has no log: it keeps the
//! endpoints that it last knew, and leaves everything else to the process that it follows.

mod elsewhere;
mod error;
mod exports;
mod gateway;
mod impact;
mod listen;
mod live;
mod parts;
mod patience;
mod peers;
mod registry;
mod reload;
mod running;
mod sagas;
mod several;
mod shared;
mod start;
mod statics;
mod storage;
mod topics;
mod vitals;

#[cfg(test)]
mod tests;

pub use error::StartError;
pub use listen::{DEFAULT_API, Moved};
pub use running::{Ended, Handle, Running};
pub use start::Platform;
