//! The outgoing side: a call to a service by name, discovered, balanced, protected and traced.
//!
//! A caller names a service and a path; everything between is the same for all callers: the live
//! endpoints and their breakers come from `ieum-discovery`, the layers from `ieum-resilience`
//! (the file `stack.rs` lists them in order), the wire from `ieum-http`. An answer of 400 or more is
//! a typed [`Error`] that tells *not found* from *refused* from *not available*, and whether the
//! service may have seen the request.

mod call;
mod client;
mod config;
mod dispatch;
mod error;
pub mod graphql;
#[cfg(feature = "grpc")]
mod grpc;
mod request;
mod response;
mod stack;

pub use client::{Client, ServiceClient};
pub use config::Config;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "grpc")]
pub use grpc::{GrpcBody, GrpcChannel};
pub use request::RequestBuilder;
pub use response::Response;
