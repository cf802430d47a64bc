//! What the console's live pages show: the map of services, the breakers, the totals, and the stream
//! that tells of them once a second.
//!
//! [`ServiceMap`] counts spans as they arrive, whatever becomes of their traces; everything else is
//! read from the running parts when it is asked for. Nothing here is stored.

mod board;
mod glance;
mod hub;
#[cfg(test)]
mod hub_tests;
mod map;
#[cfg(test)]
mod map_tests;
mod recent;
mod window;

pub(crate) use board::Board;
pub(crate) use glance::{Glance, Sources};
pub(crate) use hub::{Hub, MOST_LISTENERS, Refused};
pub use map::{MapLimits, ServiceMap};
