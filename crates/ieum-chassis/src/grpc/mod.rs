//! Services over gRPC, on the same port as their HTTP API.
//!
//! A service brings its servers and the descriptors of them ([`Services`]); around each call there is
//! what is around each request: a span and figures under the caller's trace, a bound on messages, an
//! end at the caller's deadline, and no way out but a status of gRPC. Beside them are
//! `grpc.health.v1.Health`, which says what `/health` says, and reflection.
//!
//! A server is any `tower::Service` that speaks gRPC, such as those that tonic generates; no type of
//! tonic is public here.

mod admit;
mod call;
mod health;
mod refusal;
mod services;
#[cfg(test)]
mod tests;

pub use services::{DescriptorError, Services};

pub(crate) use call::{is_call, observe};
pub(crate) use services::Mounted;
