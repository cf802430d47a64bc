//! GraphQL federation: one graph over the graphs of several services.
//!
//! ```text
//!  subgraphs' SDL ──compose──► supergraph ──► Supergraph::parse ──► Engine::new
//!
//!  Request ──prepare──► Prepared ──execute──► Answer
//!           limits, parse,         fetches through the port `Subgraphs`,
//!           validate, plan         merged, written in the query's order
//! ```
//!
//! Nothing here knows HTTP servers, addresses or identities: whoever serves a request brings the port
//! [`transport::Subgraphs`]. The planner is a borrowed library behind a trait, the executor our own
//! (docs/adr/0010).

pub mod engine;
pub mod execute;
mod hive;
pub mod http;
mod introspection;
pub mod limits;
mod operation;
pub mod plan;
mod planner;
mod rejection;
pub mod request;
pub mod supergraph;
pub mod transport;

pub use engine::{Config, Engine, Planning, Prepared};
pub use execute::{Answer, Variables};
pub use limits::{Limit, Limits};
pub use rejection::{Location, Reason, Rejection, RequestError};
pub use request::Request;
pub use supergraph::Supergraph;
pub use transport::Subgraphs;
