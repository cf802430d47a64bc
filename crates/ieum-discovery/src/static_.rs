//! A registry that is written down: the instances stand in the configuration and never change.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    CheckId, Error, ErrorKind, Instance, InstanceId, Registered, Registration, Result, Snapshot,
    Status,
};

/// Instances that are always passing. It refuses every change.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    services: BTreeMap<String, Vec<Instance>>,
}

impl Registry {
    /// A registry of `instances`; of two with the same id, the last counts.
    pub fn new(instances: impl IntoIterator<Item = Instance>) -> Self {
        let by_id: BTreeMap<InstanceId, Instance> = instances
            .into_iter()
            .map(|instance| (instance.id.clone(), instance))
            .collect();
        let mut services: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
        for instance in by_id.into_values() {
            let service = services.entry(instance.service.clone()).or_default();
            service.push(instance);
        }
        Self { services }
    }

    fn refuse(&self, what: &str) -> Result<()> {
        Err(Error::new(
            ErrorKind::Invalid,
            format!("{what}: the instances are fixed by the configuration"),
        ))
    }
}

#[async_trait]
impl crate::Registry for Registry {
    async fn register(&self, registration: Registration) -> Result<()> {
        self.refuse(&format!("registering `{}`", registration.instance.id))
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        self.refuse(&format!("removing `{instance}`"))
    }

    async fn report(&self, check: &CheckId, _: Status, _: &str) -> Result<()> {
        self.refuse(&format!("reporting `{check}`"))
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        if after == INDEX {
            tokio::time::sleep(wait).await;
        }
        let registered = |instance: &Instance| Registered {
            instance: instance.clone(),
            checks: Vec::new(),
            created: INDEX,
            modified: INDEX,
        };
        let instances = self.services.get(service);
        Ok(Snapshot {
            index: INDEX,
            instances: instances.into_iter().flatten().map(registered).collect(),
        })
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let tags = |instances: &[Instance]| {
            let all = instances.iter().flat_map(|i| i.tags.iter().cloned());
            all.collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        let services = self.services.iter();
        Ok(services.map(|(name, i)| (name.clone(), tags(i))).collect())
    }
}

/// The only index there is.
const INDEX: u64 = 1;
