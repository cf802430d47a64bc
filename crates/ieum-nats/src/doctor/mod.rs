//! What `ieum doctor` says of a NATS server: what is reached, and which settings weaken a promise.

mod examination;
mod monitor;

pub use examination::examine;
