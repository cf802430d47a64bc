//! RabbitMQ: topics and consumer groups.
//!
//! A topic is an exchange, a group a durable queue that is bound to it, a member the queue's single
//! active consumer. Messages are CloudEvents in the AMQP binding's binary mode, so that services in
//! other languages read and write them. docs/reference/rabbitmq.md says what is promised and what is
//! not.

mod binding;
mod broker;
mod config;
mod connection;
mod dead_letters;
mod doctor;
mod error;
mod places;
mod publisher;
mod session;
mod subscriber;
mod topology;
mod version;

pub use broker::{CAPABILITIES, capabilities, connect, connect_with};
pub use config::{Config, Queues};
pub use dead_letters::dead_letters;
pub use doctor::examine;
pub use publisher::Publisher;
pub use subscriber::Subscriber;

/// The schemes of its URLs: plain, and over TLS.
pub const SCHEMES: [&str; 2] = ["amqp", "amqps"];
