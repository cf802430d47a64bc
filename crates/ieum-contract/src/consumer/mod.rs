//! The consumer's side: say what is needed, use it against a mock, keep what was used.
//!
//! A test describes interactions in a [`Recording`], points its client at the [`Mock`] that plays
//! the provider, and gets a [`crate::Pact`] only if every call came as described and none else did.
//! [`crate::Pact::merge_into`] writes it beside what other tests recorded.
//!
//! Values that may differ are written with the functions of [`matchers`], which are plain JSON and
//! so fit into `json!`.

mod build;
mod file;
pub mod matchers;
mod mock;
mod split;
#[cfg(test)]
mod tests;

pub use build::{Call, Event, Reply, Sent, call, event, reply, send};
pub use mock::{Mock, Recording};
