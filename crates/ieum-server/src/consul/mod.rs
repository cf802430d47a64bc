//! The subset of Consul's HTTP API that registers, checks and finds services, and lets them agree on
//! keys, under `/v1/`.
//!
//! Clients for Consul work as they are: paths, field names in any case, status codes, plain-text
//! errors, `X-Consul-Index` and blocking queries are Consul's. What is covered, and what differs on
//! purpose, is listed in `docs/reference/consul.md`; in short:
//!
//! - the index of a service, and of a key, is the position of *its* last change, so a heartbeat or a
//!   change elsewhere wakes nobody, and an index from before a restart is answered at once;
//! - every instance that registers itself stands at one node, the platform, and there is no gossip:
//!   entries have no `serfHealth` check. The service `consul` is listed, as clients expect, and is the
//!   platform itself;
//! - what would be ignored in silence is refused: script, Docker, gRPC, UDP and alias checks, checks
//!   with thresholds, service-mesh registrations, filters on what is not there;
//! - checks belong to an instance; a check of the node is refused.

#[cfg(test)]
mod adapter_tests;
mod agent;
mod blocking;
mod catalog;
#[cfg(test)]
mod catalog_tests;
mod checks;
#[cfg(test)]
mod coordination_tests;
mod error;
mod filter;
mod health;
mod kv;
mod maintenance;
mod places;
mod sessions;
mod status;
#[cfg(test)]
mod tests;
mod txn;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use ieum_base::{Rng, Tasks};
use ieum_discovery::embedded::Registry;
use ieum_discovery::kv::Store;

use self::error::Refused;
pub use self::places::NodeInfo;
use crate::config;

/// What the handlers share.
#[derive(Clone)]
struct Consul {
    registry: Arc<Registry>,
    kv: Store,
    node: Arc<NodeInfo>,
    least_deregister_after: Duration,
    rng: Rng,
}

/// Keys and sessions beside `registry`; with `is_shared`, on a log that other processes write to. What
/// runs for them ends with `tasks`.
pub fn store(
    registry: &Arc<Registry>,
    config: &config::Registry,
    is_shared: bool,
    tasks: &Tasks,
) -> Store {
    let (registry, home) = (Arc::clone(registry), NodeInfo::default().name);
    match is_shared {
        true => Store::sharing(registry, home, config.kv, tasks.clone()),
        false => Store::new(registry, home, config.kv, tasks.clone()),
    }
}

/// Every route of the API. It has no fallback: it is merged into the platform's router.
pub fn router(registry: Arc<Registry>, kv: Store, config: &config::Registry) -> Router {
    let most_value = config.kv.most_value();
    let consul = Consul {
        kv,
        registry,
        node: Arc::new(NodeInfo::default()),
        least_deregister_after: config.checks.least_deregister_after.0,
        rng: Rng::system(),
    };
    Router::new()
        .merge(agent::routes())
        .merge(maintenance::routes())
        .merge(checks::routes())
        .merge(health::routes())
        .merge(catalog::routes())
        .merge(sessions::routes())
        .merge(status::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(kv::routes(most_value))
        .merge(txn::routes(most_value))
        .with_state(consul)
}

impl Consul {
    /// There is one datacenter.
    fn check_datacenter(&self, datacenter: &str) -> error::Result<()> {
        match datacenter.is_empty() || datacenter == self.node.datacenter {
            true => Ok(()),
            false => Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "No path to datacenter",
            )),
        }
    }

    /// The name of a node that is called by its name or its id.
    fn name_of_node(&self, called: &str) -> String {
        if self.node.is_called(called) {
            return self.node.name.clone();
        }
        let known = self.registry.live().look(|catalog| {
            let mut nodes = catalog.nodes();
            let known = nodes.find(|known| known.node.id == called && !called.is_empty());
            known.map(|known| known.node.name.clone())
        });
        known.unwrap_or_else(|| called.to_owned())
    }
}

/// The largest registration, in bytes.
const MAX_BODY: usize = 128 << 10;

/// Where Consul's servers would agree with each other; clients only look at whether there is one.
const LEADER: &str = "127.0.0.1:8300";
