//! Which instances of a service live where: registry port, health checks, balancers, Consul adapter.

mod error;
mod model;
mod port;

pub use error::{Error, ErrorKind, Result};
pub use model::{
    Check, CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registered, Registration,
    Snapshot, Status,
};
pub use port::Registry;
