//! Engines in memory: a broker and an outbox for tests and for programs that keep nothing.
//!
//! They obey the same suite as the durable engines (`conformance`), so that what works on them works
//! there. Nothing survives the process.

mod broker;
mod outbox;

pub use broker::{Broker, CAPABILITIES, Config};
pub use outbox::Outbox;
