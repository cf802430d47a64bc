//! What a registry knows, as a pure state machine.
//!
//! Deciding and applying are two steps: a decision looks at the catalog and says which [`Change`]s
//! follow from a request, applying folds a change into the catalog at an index. So the in-memory
//! registry and the event-sourced one share every rule, and a restart replays exactly what was
//! decided. Each service has an index of its own, the index of its last change, so that a busy
//! service never wakes the watchers of a quiet one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Check, CheckDefinition, CheckId, CheckKind, Error, ErrorKind, InstanceId, Registered,
    Registration, Result, Snapshot, Status,
};

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
}

impl Change {
    /// The service that changed.
    pub fn service(&self) -> &str {
        match self {
            Self::Registered(registration) => &registration.instance.service,
            Self::Deregistered { service, .. } | Self::StatusChanged { service, .. } => service,
        }
    }
}

/// How much a catalog takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most instances over all services; 10,000 by default.
    pub instances: usize,
    /// The most checks of one instance; 16 by default.
    pub checks: usize,
    /// The most tags, and the most pairs of metadata, of one instance; 64 by default, as in Consul.
    pub labels: usize,
    /// The most bytes of a name, an id or a tag; 255 by default.
    pub name_bytes: usize,
    /// The most bytes of a value of metadata or of a URL; 2,048 by default.
    pub value_bytes: usize,
    /// The most bytes of a check's output that are kept; 4,096 by default, as in Consul.
    pub output_bytes: usize,
    /// How many services without instances are remembered with an index of their own; 1,024 by
    /// default.
    pub deleted: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: 10_000,
            checks: 16,
            labels: 64,
            name_bytes: 255,
            value_bytes: 2_048,
            output_bytes: 4_096,
            deleted: 1_024,
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
        Snapshot {
            index: self.service_index(service),
            instances: self
                .services
                .get(service)
                .map(|s| s.instances.values().cloned().collect())
                .unwrap_or_default(),
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

    /// What follows from a removal.
    pub fn deregister(&self, id: &InstanceId) -> Result<Vec<Change>> {
        let service = self
            .instances
            .get(id)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("instance `{id}`")))?;
        Ok(vec![Change::Deregistered {
            service: service.clone(),
            instance: id.clone(),
        }])
    }

    /// What follows from a check's result: nothing, if its status is the same.
    pub fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<Vec<Change>> {
        let (registered, known) = self
            .check(check)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("check `{check}`")))?;
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
        let Registration { instance, checks } = registration;
        let limits = &self.limits;
        let name = |what, text| limits.name(what, text);
        name("the id of an instance", &instance.id.0)?;
        name("the name of a service", &instance.service)?;
        name("the address of an instance", &instance.address)?;
        instance
            .tags
            .iter()
            .try_for_each(|tag| name("a tag", tag))?;
        for (key, value) in &instance.meta {
            name("a key of metadata", key)?;
            limits.value("a value of metadata", value)?;
        }
        let most = |what: &str, count: usize, most: usize| match count <= most {
            true => Ok(()),
            false => Err(invalid(format!("{count} {what} are more than {most}"))),
        };
        most("tags", instance.tags.len(), limits.labels)?;
        most("pairs of metadata", instance.meta.len(), limits.labels)?;
        most("checks", checks.len(), limits.checks)?;
        for (place, check) in checks.iter().enumerate() {
            self.validate_check(&instance.id, check)?;
            if checks[..place].iter().any(|other| other.id == check.id) {
                return Err(invalid(format!(
                    "the check id `{}` is given twice",
                    check.id
                )));
            }
        }
        Ok(())
    }

    fn validate_check(&self, instance: &InstanceId, check: &CheckDefinition) -> Result<()> {
        let limits = &self.limits;
        limits.name("the id of a check", &check.id.0)?;
        limits.value("the name of a check", &check.name)?;
        limits.value("the notes of a check", &check.notes)?;
        match self.checks.get(&check.id) {
            Some(owner) if owner != instance => {
                return Err(invalid(format!(
                    "the check id `{}` belongs to the instance `{owner}`",
                    check.id
                )));
            }
            _ => {}
        }
        let (target, times) = match &check.kind {
            CheckKind::Http {
                url,
                interval,
                timeout,
                ..
            } => (url.as_str(), vec![*interval, *timeout]),
            CheckKind::Tcp {
                address,
                interval,
                timeout,
            } => (address.as_str(), vec![*interval, *timeout]),
            CheckKind::Ttl { ttl } => ("", vec![*ttl]),
            CheckKind::Elsewhere => {
                return Err(invalid(format!(
                    "the check `{}` does not say how it is run",
                    check.id
                )));
            }
        };
        limits.value("the target of a check", target)?;
        if times.iter().any(|time| time.is_zero() || *time > LONGEST) {
            return Err(invalid(format!(
                "the times of check `{}` must be above 0 and at most 1 day",
                check.id
            )));
        }
        Ok(())
    }
}

impl Limits {
    fn name(&self, what: &str, text: &str) -> Result<()> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(invalid(format!(
                "{what} must not be empty or have control characters"
            )));
        }
        Self::within(what, text, self.name_bytes)
    }

    fn value(&self, what: &str, text: &str) -> Result<()> {
        Self::within(what, text, self.value_bytes)
    }

    fn within(what: &str, text: &str, most: usize) -> Result<()> {
        match text.len() {
            length if length <= most => Ok(()),
            length => Err(invalid(format!(
                "{what} has {length} bytes, more than {most}"
            ))),
        }
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

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}

/// The longest interval, timeout or TTL.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
