//! Fallback: a worse answer is better than none, where the caller can live with it.
//!
//! The handler sees the failure and either makes an answer of it (a static one, one from a cache) or
//! hands the failure on. Which failures deserve one is the handler's choice: a refusal that is the
//! caller's fault does not. [`FallbackLayer::to`] asks another service instead.

mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use layer::FallbackLayer;
pub use service::{Alternate, Fallback, Handler, ResponseFuture};
