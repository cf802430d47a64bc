//! Amazon SNS and SQS: topics and consumer groups.
//!
//! A topic is an SNS FIFO topic, a group an SQS FIFO queue that is subscribed to it. Messages are
//! CloudEvents in structured mode, delivered raw, so that services in other languages read them.
//! docs/reference/aws.md says what is promised and what is not.
//!
//! The services are called by their own protocols over `ieum-http`, signed by Signature Version 4: the
//! dozen calls that are needed take less than AWS' SDK, which would lock about 85 packages more.

mod api;
mod broker;
mod config;
mod doctor;
mod error;
mod places;
mod publisher;
mod queue;
mod sign;
mod subscriber;
mod xml;

pub use broker::{CAPABILITIES, SCHEME, connect, connect_with, dead_letters};
pub use config::Config;
pub use doctor::examine;
pub use publisher::Publisher;
pub use subscriber::Subscriber;
