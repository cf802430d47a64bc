//! GraphQL federation: one graph over the graphs of several services.

mod hive;
pub mod limits;
mod operation;
mod planner;
pub mod supergraph;

pub use limits::{Limit, Limits};
pub use supergraph::Supergraph;

pub mod plan;
pub mod transport;
