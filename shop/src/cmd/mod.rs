//! One file per command.

pub(crate) mod audit;
pub(crate) mod demo;
mod engines;
mod lifeline;
pub(crate) mod platform;
mod secrets;
pub(crate) mod serve;
