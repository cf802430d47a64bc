//! What a registry knows, as a pure state machine.
//!
//! Deciding and applying are two steps: a decision looks at the catalog and says which [`Change`]s
//! follow from a request, applying folds a change into the catalog at an index. So the in-memory
//! registry and the event-sourced one share every rule, and a restart replays exactly what was
//! decided. Each service has an index of its own, the index of its last change, so that a busy
//! service never wakes the watchers of a quiet one.

mod nodes;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

pub use crate::limits::Limits;
use crate::{
    Check, CheckDefinition, CheckId, Error, ErrorKind, InstanceId, Registered, Registration,
    Result, Snapshot, Status,
};
pub use nodes::{External, KnownNode, NODE_MAINTENANCE, Node};

/// What happened to the catalog; the data of the registry's events. Readers ignore fields that
/// they do not know, so that an older version reads a newer one's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// An instance was registered, or its registration replaced.
    Registered(Registration),
    /// An instance and its checks were removed.
    Deregistered {
        /// The service that it was a copy of.
        service: String,
        /// The instance.
        instance: InstanceId,
    },
    /// A check has a new status.
    StatusChanged {
        /// The service of the instance that is checked.
        service: String,
        /// The check.
        check: CheckId,
        /// Its new status.
        status: Status,
        /// What the result said.
        output: String,
    },
    /// A node beside the platform's own was registered, or changed.
    NodeRegistered(Node),
    /// A node was removed, after its instances.
    NodeDeregistered {
        /// Its name.
        node: String,
    },
    /// An instance stands at a node that is not the platform's own.
    Placed {
        /// The service of the instance.
        service: String,
        /// The instance.
        instance: InstanceId,
        /// The name of the node.
        node: String,
    },
    /// The platform's node went into maintenance, or came out of it.
    NodeMaintenance {
        /// Why it is in maintenance; `None`: it is not any more.
        reason: Option<String>,
    },
}

impl Change {
    /// The service that changed; `None` if it is a node that did.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Registered(registration) => Some(&registration.instance.service),
            Self::Deregistered { service, .. }
            | Self::StatusChanged { service, .. }
            | Self::Placed { service, .. } => Some(service),
            Self::NodeRegistered(_)
            | Self::NodeDeregistered { .. }
            | Self::NodeMaintenance { .. } => None,
        }
    }
}

/// All services, their instances and checks at one index.
#[derive(Debug, Default)]
pub struct Catalog {
    limits: Limits,
    services: BTreeMap<String, Service>,
    /// The service of each instance.
    instances: HashMap<InstanceId, String>,
    /// The instance of each check.
    checks: HashMap<CheckId, InstanceId>,
    index: u64,
    membership: u64,
    /// The highest index of a deleted service that was forgotten: what an unknown service answers,
    /// so that a watcher which still holds an older index is woken.
    floor: u64,
    nodes: nodes::Nodes,
}

#[derive(Debug, Default)]
struct Service {
    index: u64,
    instances: BTreeMap<InstanceId, Registered>,
}

impl Catalog {
    /// An empty catalog.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The index of the last change of anything; 0 before the first.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The index of the last registration or removal; 1 before the first, as a blocking query wants.
    pub fn membership_index(&self) -> u64 {
        self.membership.max(1)
    }

    /// The index of `service`: that of its last change, also after its last instance went.
    pub fn service_index(&self, service: &str) -> u64 {
        self.services
            .get(service)
            .map_or(self.floor, |s| s.index)
            .max(1)
    }

    /// The instances of `service`.
    pub fn snapshot(&self, service: &str) -> Snapshot {
        let known = self.services.get(service);
        let instances = known.into_iter().flat_map(|s| s.instances.values());
        Snapshot {
            index: self.service_index(service),
            instances: instances.map(|r| self.described(r)).collect(),
        }
    }

    /// Every registered instance, by service and id.
    pub fn all(&self) -> impl Iterator<Item = &Registered> {
        self.services.values().flat_map(|s| s.instances.values())
    }

    /// One instance.
    pub fn instance(&self, id: &InstanceId) -> Option<&Registered> {
        self.services
            .get(self.instances.get(id)?)?
            .instances
            .get(id)
    }

    /// The instance that `check` belongs to, and the check.
    pub fn check(&self, check: &CheckId) -> Option<(&Registered, &Check)> {
        let registered = self.instance(self.checks.get(check)?)?;
        let check = registered
            .checks
            .iter()
            .find(|c| c.definition.id == *check)?;
        Some((registered, check))
    }

    /// The services that have an instance, with the union of their tags in alphabetical order.
    pub fn services(&self) -> BTreeMap<String, Vec<String>> {
        let tags = |service: &Service| {
            let all = service
                .instances
                .values()
                .flat_map(|r| r.instance.tags.iter().cloned());
            all.collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        self.services
            .iter()
            .filter(|(_, service)| !service.instances.is_empty())
            .map(|(name, service)| (name.clone(), tags(service)))
            .collect()
    }

    /// What follows from a registration: nothing, if it is there unchanged.
    pub fn register(&self, registration: Registration) -> Result<Vec<Change>> {
        self.check_place(&registration.instance.id, None)?;
        self.replace(registration)
    }

    /// The same wherever the instance stands.
    fn replace(&self, registration: Registration) -> Result<Vec<Change>> {
        self.validate(&registration)?;
        let id = &registration.instance.id;
        let mut changes = Vec::new();
        match self.instance(id) {
            Some(known) if is_same(known, &registration) => return Ok(changes),
            Some(known) if known.instance.service != registration.instance.service => {
                changes.push(Change::Deregistered {
                    service: known.instance.service.clone(),
                    instance: id.clone(),
                });
            }
            Some(_) => {}
            None if self.instances.len() >= self.limits.instances => {
                let most = self.limits.instances;
                return Err(invalid(format!(
                    "cannot register `{id}`: the registry holds its limit of {most} instances"
                )));
            }
            None => {}
        }
        changes.push(Change::Registered(registration));
        Ok(changes)
    }

    /// A registration with the checks that its instance already has beside it.
    pub fn merged(&self, mut registration: Registration) -> Registration {
        let known = self.instance(&registration.instance.id);
        for check in known.into_iter().flat_map(|known| &known.checks) {
            let id = &check.definition.id;
            if registration.checks.iter().all(|given| given.id != *id) {
                registration.checks.push(check.definition.clone());
            }
        }
        registration
    }

    /// What follows from adding a check to an instance, or replacing the one of the same id.
    pub fn register_check(&self, id: &InstanceId, check: CheckDefinition) -> Result<Vec<Change>> {
        let known = self.instance(id).ok_or_else(|| no_instance(id))?;
        let mut registration = known.registration();
        match registration.checks.iter_mut().find(|c| c.id == check.id) {
            Some(known) => *known = check,
            None => registration.checks.push(check),
        }
        self.replace(registration)
    }

    /// What follows from removing a check from its instance.
    pub fn deregister_check(&self, id: &CheckId) -> Result<Vec<Change>> {
        let (known, _) = self.check(id).ok_or_else(|| no_check(id))?;
        let mut registration = known.registration();
        registration.checks.retain(|check| check.id != *id);
        self.replace(registration)
    }

    /// What follows from a removal.
    pub fn deregister(&self, id: &InstanceId) -> Result<Vec<Change>> {
        let service = self.instances.get(id).ok_or_else(|| no_instance(id))?;
        Ok(vec![Change::Deregistered {
            service: service.clone(),
            instance: id.clone(),
        }])
    }

    /// What follows from a check's result: nothing, if its status is the same.
    pub fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<Vec<Change>> {
        let (registered, known) = self.check(check).ok_or_else(|| no_check(check))?;
        if known.status == status {
            return Ok(Vec::new());
        }
        Ok(vec![Change::StatusChanged {
            service: registered.instance.service.clone(),
            check: check.clone(),
            status,
            output: clipped(output, self.limits.output_bytes),
        }])
    }

    /// Keeps the output of a result that did not change the status. It has no index.
    pub fn set_output(&mut self, check: &CheckId, output: &str) {
        let output = clipped(output, self.limits.output_bytes);
        if let Some(check) = self.check_mut(check) {
            check.output = output;
        }
    }

    /// Folds a change into the catalog. Indexes only grow; a change at or below the catalog's index
    /// was folded in before and is passed over.
    pub fn apply(&mut self, index: u64, change: &Change) {
        if index <= self.index {
            return;
        }
        self.index = index;
        match change {
            Change::Registered(registration) => self.insert(index, registration),
            Change::Deregistered { instance, .. } => self.remove(index, instance),
            Change::StatusChanged {
                check,
                status,
                output,
                ..
            } => self.set_status(index, check, *status, output),
            of_nodes => self.apply_to_nodes(index, of_nodes),
        }
    }

    fn insert(&mut self, index: u64, registration: &Registration) {
        let Registration { instance, checks } = registration;
        let known = self.take(&instance.id, index);
        for definition in checks {
            self.checks
                .insert(definition.id.clone(), instance.id.clone());
        }
        let registered = Registered {
            instance: instance.clone(),
            checks: checks
                .iter()
                .map(|definition| check_from(definition, known.as_ref()))
                .collect(),
            created: known.map_or(index, |k| k.created),
            modified: index,
        };
        self.membership = index;
        self.instances
            .insert(instance.id.clone(), instance.service.clone());
        let service = self.services.entry(instance.service.clone()).or_default();
        service.index = index;
        service.instances.insert(instance.id.clone(), registered);
    }

    fn remove(&mut self, index: u64, id: &InstanceId) {
        if self.take(id, index).is_some() {
            self.nodes.forget(id);
            self.membership = index;
            self.forget_deleted();
        }
    }

    fn set_status(&mut self, index: u64, id: &CheckId, status: Status, output: &str) {
        let Some(instance) = self.checks.get(id).cloned() else {
            return;
        };
        if let Some(check) = self.check_mut(id) {
            check.status = status;
            output.clone_into(&mut check.output);
        }
        let Some(service) = self
            .instances
            .get(&instance)
            .and_then(|name| self.services.get_mut(name))
        else {
            return;
        };
        service.index = index;
        if let Some(registered) = service.instances.get_mut(&instance) {
            registered.modified = index;
        }
    }

    /// Takes an instance and its checks out; its service changes at `index`.
    fn take(&mut self, id: &InstanceId, index: u64) -> Option<Registered> {
        let service = self.services.get_mut(&self.instances.remove(id)?)?;
        service.index = index;
        let taken = service.instances.remove(id)?;
        for check in &taken.checks {
            self.checks.remove(&check.definition.id);
        }
        Some(taken)
    }

    fn check_mut(&mut self, id: &CheckId) -> Option<&mut Check> {
        let instance = self.checks.get(id)?;
        self.services
            .get_mut(self.instances.get(instance)?)?
            .instances
            .get_mut(instance)?
            .checks
            .iter_mut()
            .find(|check| check.definition.id == *id)
    }

    /// Forgets the longest deleted services beyond the limit; the floor remembers their index.
    fn forget_deleted(&mut self) {
        if self.services.len() <= self.limits.deleted {
            return;
        }
        let mut deleted: Vec<(u64, String)> = self
            .services
            .iter()
            .filter(|(_, service)| service.instances.is_empty())
            .map(|(name, service)| (service.index, name.clone()))
            .collect();
        deleted.sort_unstable();
        let excess = deleted.len().saturating_sub(self.limits.deleted);
        for (index, name) in deleted.into_iter().take(excess) {
            self.floor = self.floor.max(index);
            self.services.remove(&name);
        }
    }

    fn validate(&self, registration: &Registration) -> Result<()> {
        self.limits.check(registration)?;
        for check in &registration.checks {
            match self.checks.get(&check.id) {
                Some(owner) if *owner != registration.instance.id => {
                    let why = format!("the check id `{}` belongs to `{owner}`", check.id);
                    return Err(invalid(why));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A check as it stands after a registration. The state of a check that stays as it was is kept, so
/// that registering again does not take an instance out of service for an interval.
fn check_from(definition: &CheckDefinition, known: Option<&Registered>) -> Check {
    let before = known.and_then(|known| {
        known
            .checks
            .iter()
            .find(|c| c.definition.id == definition.id && c.definition.kind == definition.kind)
    });
    Check {
        definition: definition.clone(),
        status: before.map_or(definition.initial, |c| c.status),
        output: before.map(|c| c.output.clone()).unwrap_or_default(),
    }
}

fn is_same(known: &Registered, registration: &Registration) -> bool {
    known.instance == registration.instance
        && known
            .checks
            .iter()
            .map(|check| &check.definition)
            .eq(&registration.checks)
}

/// At most `most` bytes of `text`, cut between characters.
fn clipped(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn no_instance(id: &InstanceId) -> Error {
    Error::new(ErrorKind::NotFound, format!("instance `{id}`"))
}

fn no_check(id: &CheckId) -> Error {
    Error::new(ErrorKind::NotFound, format!("check `{id}`"))
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}
