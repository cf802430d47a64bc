//! Messages between services: CloudEvents envelope, publisher and subscriber ports, consumer,
//! outbox relay, dead letters.
//!
//! Delivery is at least once; effects happen once, because a message is identified by its source and
//! id and the receiver's inbox row commits together with the effect.

pub mod binary_mode;
mod capabilities;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod consumer;
mod dead_letter;
mod envelope;
mod error;
mod group_subscription;
pub mod http_binding;
pub mod memory;
pub mod names;
mod port;
pub mod relay;
pub mod telemetry;
mod window;

pub use capabilities::{Broker, Capabilities, Deduplicates, Durable};
pub use dead_letter::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, GroupState, Inspect, Operate, TopicState,
};
pub use envelope::{Limits, Message, MessageError, SpecVersion};
pub use error::{Error, ErrorKind, Result};
pub use group_subscription::{GroupConfig, GroupSubscriber};
pub use port::{
    Delivery, Epoch, Groups, OutboxRow, OutboxStore, Publisher, Subscriber, Subscription,
};
pub use window::{Held, Window};
