//! Sharing work between platforms on one log: who owns which part, and for how long.
//!
//! A scope of work (the sagas of a log) is divided into items, one [lease](crate::Leases) each.
//! Every platform runs one [`Service`]; it keeps a lease as a *member*, renews what it owns, takes
//! what is free or stood still for a lease length, and gives back what is above its fair share. What
//! it won arrives as a [`Tenure`], and the tenure says when it is over: at once when it was lost,
//! with time to finish when it is given back.
//!
//! Nothing here is needed for safety: a tenure carries a [`Fence`](crate::Fence), and the log refuses
//! what is written under one that is over, however wrong a paused process' beliefs are (H13). It is
//! needed so that work goes on, that two owners do not get in each other's way, and that an owner
//! which cannot reach the log stops by itself before a successor begins.
//!
//! `keeper.rs` holds the rules, without a log and without a clock of its own; `service.rs` the calls.
//!
//! ```text
//! let parts = Parts { leases, scope: "sagas".into(), items, holder: Holder::new("node-1", id), clock };
//! let (service, handle, tenures) = ownership::new(Config::default(), parts)?;
//! // one task: service.run(stop); another one: while let Some(tenure) = tenures.recv() { … }
//! ```

mod config;
mod handle;
mod keeper;
mod service;
mod tenure;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use config::{Config, Holder, Parts};
pub use handle::{Handle, Member, Owned, View};
pub use service::{Service, new};
pub use tenure::Tenure;
