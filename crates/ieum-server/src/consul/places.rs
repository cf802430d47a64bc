//! Nodes: the platform's own, and those that were registered for somebody else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ieum_base::Uuid;
use ieum_discovery::catalog::{Catalog, KnownNode};
use ieum_discovery::{InstanceId, Registered};

use super::Consul;

/// A node, as clients see it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its id, a UUID.
    pub id: String,
    /// Its name; `ieum` by default.
    pub name: String,
    /// Its address, and that of instances which register without one; `127.0.0.1` by default.
    pub address: String,
    /// Its datacenter; `dc1` by default, as in Consul.
    pub datacenter: String,
    /// Its addresses by purpose; `lan` and `wan` are its address by default.
    pub tagged_addresses: BTreeMap<String, String>,
    /// Facts about it.
    pub meta: BTreeMap<String, String>,
    /// The index of its registration.
    pub created: u64,
    /// The index of its last change.
    pub modified: u64,
}

impl Default for NodeInfo {
    fn default() -> Self {
        let (name, address) = ("ieum".to_owned(), "127.0.0.1".to_owned());
        let purposes = ["lan", "wan"].map(str::to_owned);
        Self {
            id: Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()).to_string(),
            tagged_addresses: purposes.map(|purpose| (purpose, address.clone())).into(),
            name,
            address,
            datacenter: "dc1".to_owned(),
            meta: BTreeMap::new(),
            created: 1,
            modified: 1,
        }
    }
}

impl NodeInfo {
    /// A node that was registered for somebody else.
    pub(super) fn of(known: &KnownNode, home: &Self) -> Self {
        let node = known.node.clone();
        Self {
            id: node.id,
            name: node.name,
            address: node.address,
            datacenter: home.datacenter.clone(),
            tagged_addresses: node.tagged_addresses,
            meta: node.meta,
            created: known.created,
            modified: known.modified,
        }
    }

    /// Nodes are called by their name or their id.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.id == name
    }
}

/// Where each instance stands.
pub(super) struct Places {
    home: Arc<NodeInfo>,
    away: HashMap<InstanceId, Arc<NodeInfo>>,
}

impl Places {
    /// The places as they are now.
    pub(super) fn of(consul: &Consul) -> Self {
        consul
            .registry
            .live()
            .look(|catalog| Self::in_catalog(consul, catalog))
    }

    pub(super) fn in_catalog(consul: &Consul, catalog: &Catalog) -> Self {
        let mut nodes: HashMap<&str, Arc<NodeInfo>> = HashMap::new();
        let away = catalog.placed().map(|(instance, known)| {
            let node = nodes
                .entry(known.node.name.as_str())
                .or_insert_with(|| Arc::new(NodeInfo::of(known, &consul.node)));
            (instance.clone(), Arc::clone(node))
        });
        Self {
            away: away.collect(),
            home: Arc::clone(&consul.node),
        }
    }

    /// The node of an instance.
    pub(super) fn node(&self, registered: &Registered) -> &NodeInfo {
        let away = self.away.get(&registered.instance.id);
        away.unwrap_or(&self.home)
    }

    /// Whether an instance stands at the platform's own node.
    pub(super) fn is_home(&self, registered: &Registered) -> bool {
        !self.away.contains_key(&registered.instance.id)
    }
}
