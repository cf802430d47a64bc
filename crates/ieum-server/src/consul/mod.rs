//! The subset of Consul's HTTP API that registers, checks and finds services, under `/v1/`.
//!
//! Clients for Consul work as they are: paths, field names in any case, status codes, plain-text
//! errors, `X-Consul-Index` and blocking queries are Consul's. What differs, on purpose:
//!
//! - the index of a service is the position of *that service's* last change, so a heartbeat or a
//!   change elsewhere wakes nobody, and an index from before a restart is answered at once;
//! - there is one node, the platform, and no gossip: entries have no `serfHealth` check. The service
//!   `consul` is listed, as clients expect, and is the platform itself;
//! - what would be ignored in silence is refused: script, Docker, gRPC, UDP and alias checks, checks
//!   with headers, bodies or thresholds, service-mesh registrations, and `filter` expressions;
//! - checks belong to an instance; a check of the node is refused.

#[cfg(test)]
mod adapter_tests;
mod agent;
mod blocking;
mod catalog;
mod checks;
mod error;
mod health;
mod status;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use ieum_base::{Rng, Uuid};
use ieum_discovery::embedded::Registry;

/// The node that every instance is registered at: the platform.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its id.
    pub id: Uuid,
    /// Its name; `ieum` by default.
    pub name: String,
    /// Its address, and that of instances which register without one; `127.0.0.1` by default.
    pub address: String,
    /// Its datacenter; `dc1` by default, as in Consul.
    pub datacenter: String,
}

impl Default for NodeInfo {
    fn default() -> Self {
        let name = "ieum".to_owned();
        Self {
            id: Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()),
            name,
            address: "127.0.0.1".to_owned(),
            datacenter: "dc1".to_owned(),
        }
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Consul {
    registry: Arc<Registry>,
    node: Arc<NodeInfo>,
    rng: Rng,
}

/// Every route of the API. It has no fallback: it is merged into the platform's router.
pub fn router(registry: Arc<Registry>, node: NodeInfo) -> Router {
    let consul = Consul {
        registry,
        node: Arc::new(node),
        rng: Rng::system(),
    };
    Router::new()
        .merge(agent::routes())
        .merge(checks::routes())
        .merge(health::routes())
        .merge(catalog::routes())
        .merge(status::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(consul)
}

/// The largest registration, in bytes.
const MAX_BODY: usize = 128 << 10;

/// Where Consul's servers would agree with each other; clients only look at whether there is one.
const LEADER: &str = "127.0.0.1:8300";
