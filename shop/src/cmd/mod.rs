//! One file per command.

pub(crate) mod audit;
pub(crate) mod demo;
pub(crate) mod serve;
