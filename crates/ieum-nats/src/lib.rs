//! NATS JetStream: topics and consumer groups.
//!
//! A topic is a stream of JetStream, a message is one of its messages as a CloudEvent, and a group is
//! an entry of a key-value bucket that is changed by compare-and-set (module `group`). Everything
//! works with servers from 2.9 on.

mod binding;
mod broker;
mod config;
mod connection;
mod doctor;
mod error;
mod group;
mod groups;
mod inspect;
mod names;
mod operate;
mod publisher;
mod streams;

pub use broker::{CAPABILITIES, Engine, SCHEME, SCHEMES, connect, open};
pub use config::Config;
pub use doctor::examine;
pub use groups::{Groups, Subscriber};
pub use inspect::Inspect;
pub use names::Namespace;
pub use operate::Operate;
pub use publisher::Publisher;
