//! The adapter for registries that speak Consul's HTTP API: HashiCorp Consul, and ieum itself.
//!
//! [`wire`] holds Consul's JSON, for both sides of the API: this adapter and the server of the
//! platform read and write the same types.

mod convert;
mod registry;
pub mod wire;

pub use registry::{Config, Registry, SCHEME};
