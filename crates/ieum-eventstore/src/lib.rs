//! The log as a port: append with an expected version, read, subscribe, decide and evolve, project.
//!
//! One append-only, globally ordered, durable log is the ground under events, topics, sagas and
//! projections. This crate says what such a log promises ([`EventStore`]) and what is built on the
//! promise; engines live elsewhere and pass the suite in `conformance` (feature `testing`).

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod decider;
mod error;
mod event;
pub mod lease;
pub mod memory;
pub mod ownership;
mod port;
pub mod projection;
mod rules;
mod subscription;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use decider::{Decider, ExecuteError, Executed, Loaded, execute, load};
pub use error::{Error, ErrorKind, Result};
pub use event::{
    Event, EventDecodeError, Metadata, NewEvent, Position, StreamName, StreamNameError, Version,
};
pub use lease::{Lease, Leases};
pub use port::{
    Append, Appended, Checkpoint, Checkpoints, Condition, EventStore, Expect, Fence, Fences,
    Filter, Head, Page, Write,
};
pub use projection::Projection;
pub use rules::Recorded;
pub use subscription::{Subscription, subscribe};
