//! Kafka: topics and consumer groups.
//!
//! A topic is a topic, a group a consumer group of its own for each topic, an acknowledgement a
//! commit. Messages are CloudEvents in the binding's binary mode, keyed by their ordering key.
//! docs/reference/kafka.md says what is promised and what is not.

mod binding;
mod broker;
mod config;
mod dead_letters;
mod doctor;
mod error;
mod places;
mod publisher;
mod subscriber;

pub use broker::{CAPABILITIES, connect, connect_with};
pub use config::Config;
pub use dead_letters::dead_letters;
pub use doctor::examine;
pub use publisher::Publisher;
pub use subscriber::Subscriber;

/// The scheme of its URLs.
pub const SCHEME: &str = "kafka";
