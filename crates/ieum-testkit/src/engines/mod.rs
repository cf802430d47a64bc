//! Real servers for tests: PostgreSQL, RabbitMQ, NATS and Redis from Debian's packages.
//!
//! Each runs on a free port of loopback in a temporary folder, with the settings that a careful
//! operator would use. A server may live in a `static` that many tests share: it ends, and its folder
//! goes, when the test process ends, however that happens.

mod nats;
mod postgres;
mod rabbitmq;
mod redis;
mod server;

pub use nats::Nats;
pub use postgres::Postgres;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
pub use server::Server;

/// The user of every server.
const USER: &str = "ieum";
/// The user's password: it has a character that a URL must encode.
const PASSWORD: &str = "s3cret/pass";
/// The same as a URL has it.
const ENCODED: &str = "s3cret%2Fpass";
