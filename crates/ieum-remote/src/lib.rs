//! The ieum:// adapter: every port over the HTTP API of a running ieum.
//!
//! [`connect`] answers a [`Platform`], and the platform its ports. An adapter sends what its port was
//! asked, once: retries are the caller's, whose backoff and deadline decide. A URL may name several
//! platforms on one log; a call goes to one that is well, and to the next where nothing was sent, or a
//! read was lost. Errors come back as the
//! port's own typed errors; the table is in [`wire::refusal`]. Where no answer came, the error is
//! `Unavailable`, which says that the fate of the call is unknown: appending and publishing the same
//! ids again settles it. The trace of the running task goes along.
//!
//! The JSON of every call is in [`wire`], which the server uses too.

mod api;
mod checkpoints;
mod error;
mod event_store;
mod fences;
mod groups;
mod inspect;
mod platform;
mod publisher;
mod registry;
pub mod sagas;
mod spread;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use platform::{Config, Platform, SCHEME, SCHEME_TLS, connect, locate};
