//! Which instances of a service live where, and which of them takes the next request.
//!
//! The port is [`Registry`]; its engines are [`memory`], [`embedded`] (on the log), [`consul`] (over
//! HTTP) and [`static_`]. A [`Resolver`] watches a registry and keeps the live [`Endpoint`]s of each
//! [`Service`] with their load and breaker; [`balance`] says how one is picked, and [`recall`] keeps
//! them for a process that starts while the registry is away. [`health`] runs the checks of the
//! registries that live in this process, and [`kv`] keeps what services agree on beside where they are.

mod error;
mod model;
mod port;

pub mod balance;
pub mod catalog;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod consul;
pub mod embedded;
mod endpoint;
pub mod health;
pub mod kv;
mod limits;
mod live;
pub mod memory;
#[cfg(test)]
mod outage_tests;
pub mod peers;
pub mod recall;
mod resolver;
#[cfg(test)]
mod resolver_tests;
mod service;
pub mod static_;
pub mod telemetry;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, EndpointId, Outcome, Picked};
pub use error::{Error, ErrorKind, Result};
pub use live::Live;
pub use model::{
    Check, CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registered, Registration,
    Snapshot, Status,
};
pub use port::Registry;
pub use recall::Recall;
pub use resolver::{Config, Resolver};
pub use service::{Absence, Service};
