//! HTTP on hyper: connector, TLS, connection pools, server loop, problem details, trace propagation.

pub mod body;
pub mod client;
pub mod connector;
pub mod egress;
mod error;
pub mod http2;
pub mod identity;
pub mod listener;
pub mod pool;
pub mod problem;
pub mod propagation;
pub mod server;
mod target;

pub use client::HttpClient;
pub use connector::Connector;
pub use error::{BoxError, Error, ErrorKind, Result, Sent};
pub use pool::Pool;
pub use problem::Problem;
pub use target::Target;
