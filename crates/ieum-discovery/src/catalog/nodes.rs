//! Nodes: where instances stand that were registered for somebody else.
//!
//! The platform is one node, and every instance that registers itself stands there. An operator may
//! register instances of other nodes (a database, a service of a partner): nobody asks them how they
//! are, their checks are as they were told. A node in maintenance keeps all its instances from being
//! sent work.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Catalog, Change, invalid, is_same};
use crate::{
    Check, CheckDefinition, CheckId, CheckKind, Error, ErrorKind, InstanceId, Registered,
    Registration, Result, Status,
};

/// A node beside the platform's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its id, a UUID; may be empty.
    #[serde(default)]
    pub id: String,
    /// Its address.
    pub address: String,
    /// Its addresses by purpose.
    #[serde(default)]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Facts about it.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
}

/// A node with its indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// What was registered.
    pub node: Node,
    /// The index of the registration.
    pub created: u64,
    /// The index of its last change.
    pub modified: u64,
}

/// What an operator registers for somebody else.
#[derive(Clone, Debug, Default)]
pub struct External {
    /// The node; `None` is the platform's own.
    pub node: Option<Node>,
    /// Whether a node that is known stays as it is.
    pub keep_node: bool,
    /// An instance, without checks.
    pub registration: Option<Registration>,
    /// Checks of that instance or of one that is known, with what they say.
    pub checks: Vec<(InstanceId, CheckDefinition)>,
}

/// The nodes of a catalog.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: BTreeMap<String, KnownNode>,
    /// The node of each instance that does not stand at the platform's own.
    of: HashMap<InstanceId, String>,
    index: u64,
    /// Why the platform's own node is in maintenance.
    maintenance: Option<String>,
}

impl Nodes {
    pub(super) fn forget(&mut self, instance: &InstanceId) {
        self.of.remove(instance);
    }
}

impl Catalog {
    /// The nodes beside the platform's own, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &KnownNode> {
        self.nodes.known.values()
    }

    /// A node beside the platform's own.
    pub fn node(&self, name: &str) -> Option<&KnownNode> {
        self.nodes.known.get(name)
    }

    /// The node of an instance; `None` is the platform's own.
    pub fn node_of(&self, instance: &InstanceId) -> Option<&KnownNode> {
        self.nodes.known.get(self.nodes.of.get(instance)?)
    }

    /// The instances that do not stand at the platform's own node, with the node of each.
    pub fn placed(&self) -> impl Iterator<Item = (&InstanceId, &KnownNode)> {
        let places = self.nodes.of.iter();
        places.filter_map(|(id, node)| Some((id, self.nodes.known.get(node)?)))
    }

    /// The index of the last change of a node; 1 before the first.
    pub fn nodes_index(&self) -> u64 {
        self.nodes.index.max(1)
    }

    /// Why the platform's node is in maintenance, if it is.
    pub fn maintenance(&self) -> Option<&str> {
        self.nodes.maintenance.as_deref()
    }

    /// An instance with the checks of its node beside its own.
    pub fn described(&self, registered: &Registered) -> Registered {
        let mut described = registered.clone();
        if let Some(reason) = &self.nodes.maintenance
            && !self.nodes.of.contains_key(&registered.instance.id)
        {
            described.checks.push(maintenance_check(reason));
        }
        described
    }

    /// What follows from putting the platform's node into maintenance, or taking it out.
    pub fn maintain_node(&self, reason: Option<String>) -> Vec<Change> {
        match self.nodes.maintenance == reason {
            true => Vec::new(),
            false => vec![Change::NodeMaintenance { reason }],
        }
    }

    /// What follows from an operator's registration.
    pub fn register_external(&self, external: &External) -> Result<Vec<Change>> {
        let mut changes = self.changes_of_node(external)?;
        let registration = external.registration.as_ref();
        let id = match (registration, external.checks.first()) {
            (Some(registration), _) => &registration.instance.id,
            (None, Some((id, _))) => id,
            (None, None) => return Ok(changes),
        };
        let known = self.instance(id);
        self.check_place(id, external.node.as_ref().map(|node| node.name.as_str()))?;
        let mut registration = match (registration, known) {
            (Some(registration), _) => self.merged(registration.clone()),
            (None, Some(known)) => known.registration(),
            (None, None) => return Err(super::no_instance(id)),
        };
        for (_, told) in external.checks.iter().filter(|(of, _)| of == id) {
            match registration.checks.iter_mut().find(|c| c.id == told.id) {
                Some(check) => check.clone_from(told),
                None => registration.checks.push(told.clone()),
            }
        }
        let service = registration.instance.service.clone();
        if known.is_none_or(|known| !is_same(known, &registration)) {
            changes.extend(self.replace(registration)?);
            if let Some(node) = &external.node {
                changes.push(Change::Placed {
                    service: service.clone(),
                    instance: id.clone(),
                    node: node.name.clone(),
                });
            }
        }
        changes.extend(told_states(known, external, &service));
        Ok(changes)
    }

    fn changes_of_node(&self, external: &External) -> Result<Vec<Change>> {
        let Some(node) = &external.node else {
            return Ok(Vec::new());
        };
        self.limits.node(node)?;
        match self.node(&node.name) {
            Some(known) if external.keep_node || known.node == *node => Ok(Vec::new()),
            None if self.nodes.known.len() >= self.limits.nodes => {
                let most = self.limits.nodes;
                Err(invalid(format!(
                    "the registry holds its limit of {most} nodes"
                )))
            }
            _ => Ok(vec![Change::NodeRegistered(node.clone())]),
        }
    }

    /// Ids are unique over all nodes here: an instance does not move by itself.
    pub(super) fn check_place(&self, id: &InstanceId, node: Option<&str>) -> Result<()> {
        let stands = self.nodes.of.get(id).map(String::as_str);
        if self.instance(id).is_none() || stands == node {
            return Ok(());
        }
        let stands = stands.unwrap_or("the platform's own");
        Err(invalid(format!(
            "the id `{id}` belongs to an instance at node `{stands}`: ids are unique over all nodes"
        )))
    }

    /// What follows from removing a node with its instances.
    pub fn deregister_node(&self, name: &str) -> Result<Vec<Change>> {
        if self.node(name).is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("node `{name}`")));
        }
        let standing = self.nodes.of.iter().filter(|(_, node)| *node == name);
        let mut gone: Vec<&InstanceId> = standing.map(|(instance, _)| instance).collect();
        gone.sort_unstable();
        let mut changes = Vec::new();
        for instance in gone {
            changes.extend(self.deregister(instance)?);
        }
        changes.push(Change::NodeDeregistered {
            node: name.to_owned(),
        });
        Ok(changes)
    }

    pub(super) fn apply_to_nodes(&mut self, index: u64, change: &Change) {
        match change {
            Change::NodeRegistered(node) => {
                self.nodes.index = index;
                let known = self.nodes.known.get(&node.name);
                let known = KnownNode {
                    node: node.clone(),
                    created: known.map_or(index, |known| known.created),
                    modified: index,
                };
                self.nodes.known.insert(node.name.clone(), known);
                self.touch(index, |nodes, id| nodes.of.get(id) == Some(&node.name));
            }
            Change::NodeDeregistered { node } => {
                self.nodes.index = index;
                self.nodes.known.remove(node);
            }
            Change::Placed { instance, node, .. } => {
                self.nodes.of.insert(instance.clone(), node.clone());
                self.touch(index, |_, id| id == instance);
            }
            Change::NodeMaintenance { reason } => {
                self.nodes.maintenance.clone_from(reason);
                self.touch(index, |nodes, id| !nodes.of.contains_key(id));
            }
            _ => {}
        }
    }

    /// The services with such an instance change at `index`.
    fn touch(&mut self, index: u64, concerns: impl Fn(&Nodes, &InstanceId) -> bool) {
        let nodes = &self.nodes;
        for service in self.services.values_mut() {
            if service.instances.keys().any(|id| concerns(nodes, id)) {
                service.index = index;
            }
        }
    }
}

/// Checks that stay as they were defined may say something else now.
fn told_states(known: Option<&Registered>, external: &External, service: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for check in known.into_iter().flat_map(|known| &known.checks) {
        let told = external.checks.iter().map(|(_, told)| told);
        let told = told.filter(|told| told.id == check.definition.id);
        for told in told.filter(|told| told.initial != check.status) {
            changes.push(Change::StatusChanged {
                service: service.to_owned(),
                check: told.id.clone(),
                status: told.initial,
                output: check.output.clone(),
            });
        }
    }
    changes
}

fn maintenance_check(reason: &str) -> Check {
    let mut definition =
        CheckDefinition::new(CheckId(NODE_MAINTENANCE.to_owned()), CheckKind::Told);
    "Node Maintenance Mode".clone_into(&mut definition.name);
    reason.clone_into(&mut definition.notes);
    Check {
        definition,
        status: Status::Critical,
        output: String::new(),
    }
}

/// The id of the check that a node in maintenance has, as in Consul.
pub const NODE_MAINTENANCE: &str = "_node_maintenance";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;
    use crate::catalog::Limits;

    /// Decides and folds in at the next indexes.
    fn apply(catalog: &mut Catalog, changes: Result<Vec<Change>>) -> usize {
        let changes = changes.expect("decided");
        for change in &changes {
            catalog.apply(catalog.index() + 1, change);
        }
        changes.len()
    }

    fn instance(id: &str, service: &str) -> Registration {
        Registration {
            instance: Instance {
                id: InstanceId(id.to_owned()),
                service: service.to_owned(),
                address: "10.0.0.7".to_owned(),
                port: 5432,
                tags: Vec::new(),
                meta: BTreeMap::new(),
                weight: 1,
            },
            checks: Vec::new(),
        }
    }

    fn database(status: Status) -> External {
        let id = InstanceId("db-1".to_owned());
        let mut check = CheckDefinition::new(CheckId("db".to_owned()), CheckKind::Told);
        check.initial = status;
        External {
            node: Some(Node {
                name: "partner".to_owned(),
                address: "10.0.0.7".to_owned(),
                ..Node::default()
            }),
            keep_node: false,
            registration: Some(instance("db-1", "db")),
            checks: vec![(id, check)],
        }
    }

    #[test]
    fn an_external_instance_stands_at_its_node_and_says_what_it_was_told() {
        let mut catalog = Catalog::new(Limits::default());
        let id = InstanceId("db-1".to_owned());
        let changes = catalog.register_external(&database(Status::Passing));
        assert_eq!(apply(&mut catalog, changes), 3, "node, instance, place");
        let node = catalog.node_of(&id).map(|known| known.node.name.as_str());
        assert_eq!(node, Some("partner"));
        let again = catalog.register_external(&database(Status::Passing));
        assert_eq!(apply(&mut catalog, again), 0, "unchanged");
        let failing = catalog.register_external(&database(Status::Critical));
        apply(&mut catalog, failing);
        assert_eq!(catalog.snapshot("db").available().count(), 0);
        let other = catalog.register(instance("db-1", "db"));
        assert!(
            other.is_err(),
            "an id of another node is not taken in silence"
        );
        let gone = catalog.deregister_node("partner");
        assert_eq!(apply(&mut catalog, gone), 2);
        assert!(catalog.node_of(&id).is_none() && catalog.nodes().next().is_none());
        assert!(catalog.deregister_node("partner").is_err());
    }

    #[test]
    fn maintenance_takes_the_instances_of_the_platforms_node_out_and_no_others() {
        let mut catalog = Catalog::new(Limits::default());
        let registered = catalog.register(instance("web-1", "web"));
        apply(&mut catalog, registered);
        let external = catalog.register_external(&database(Status::Passing));
        apply(&mut catalog, external);
        let (web, db) = (catalog.service_index("web"), catalog.service_index("db"));
        let maintained = catalog.maintain_node(Some("upgrade".to_owned()));
        assert_eq!(apply(&mut catalog, Ok(maintained)), 1);
        assert_eq!(catalog.snapshot("web").available().count(), 0);
        assert_eq!(catalog.snapshot("db").available().count(), 1);
        assert!(
            catalog.service_index("web") > web,
            "who watches must be told"
        );
        assert_eq!(catalog.service_index("db"), db);
        let ended = catalog.maintain_node(None);
        apply(&mut catalog, Ok(ended));
        assert_eq!(catalog.snapshot("web").available().count(), 1);
    }
}
