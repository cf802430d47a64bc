//! The platform in one process: the log, the registry, the sagas, the gateway and the API.
//!
//! [`Platform::start`] opens everything or nothing. The platform's work runs on a runtime of its
//! own, with few threads; the gateway's data path has one more per core. What is started last is
//! stopped first, each stage with a deadline, and what was abandoned is said.

mod error;
mod gateway;
mod listen;
mod parts;
mod running;
mod sagas;
mod start;
mod statics;
mod storage;
mod vitals;

#[cfg(test)]
mod tests;

pub use error::StartError;
pub use listen::{DEFAULT_API, Moved};
pub use running::{Ended, Running};
pub use start::Platform;
