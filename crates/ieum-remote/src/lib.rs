//! The ieum:// adapter: every port over the HTTP API of a running ieum.

pub mod wire;
