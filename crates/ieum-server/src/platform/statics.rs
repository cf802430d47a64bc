//! Instances that the configuration registers: they come and go with the file.

use std::collections::BTreeSet;
use std::time::Duration;

use ieum_discovery::{
    CheckDefinition, CheckId, CheckKind, ErrorKind, Instance, InstanceId, Registration, Registry,
    Result,
};

use crate::config::StaticInstance;

/// The metadata that marks an instance as registered by the configuration.
const MARK: (&str, &str) = ("registered-by", "configuration");

/// Registers `instances`, and deregisters those that an earlier configuration had registered.
pub(super) async fn register(registry: &dyn Registry, instances: &[StaticInstance]) -> Result<()> {
    let mut wanted = BTreeSet::new();
    for instance in instances {
        let registration = registration(instance);
        wanted.insert(registration.instance.id.clone());
        registry.register(registration).await?;
    }
    for service in registry.services().await?.into_keys() {
        let snapshot = registry.watch(&service, 0, Duration::ZERO).await?;
        for registered in snapshot.instances {
            let Instance { id, meta, .. } = registered.instance;
            let ours = meta.get(MARK.0).is_some_and(|value| value == MARK.1);
            if ours && !wanted.contains(&id) {
                match registry.deregister(&id).await {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => tracing::info!(%service, instance = %id, "left the configuration"),
                }
            }
        }
    }
    Ok(())
}

fn registration(instance: &StaticInstance) -> Registration {
    let StaticInstance {
        service,
        address,
        port,
        ..
    } = instance;
    let id = InstanceId(format!("{service}-{address}-{port}"));
    let mut meta = instance.meta.clone();
    meta.insert(MARK.0.to_owned(), MARK.1.to_owned());
    let check = instance.check.as_ref().map(|url| {
        let kind = CheckKind::http(url.clone(), instance.interval.0, instance.timeout.0);
        CheckDefinition::new(CheckId::of(&id), kind)
    });
    Registration {
        instance: Instance {
            id,
            service: service.clone(),
            address: address.clone(),
            port: *port,
            tags: instance.tags.clone(),
            meta,
            weight: instance.weight,
        },
        checks: check.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use ieum_base::HumanDuration;

    use super::*;

    fn legacy(port: u16) -> StaticInstance {
        StaticInstance {
            service: "legacy".into(),
            address: "10.0.0.5".into(),
            port,
            tags: Vec::new(),
            meta: [("owner".to_owned(), "team-a".to_owned())].into(),
            weight: 1,
            check: None,
            interval: HumanDuration::from_secs(10),
            timeout: HumanDuration::from_secs(1),
        }
    }

    async fn ports(registry: &dyn Registry) -> Vec<u16> {
        let snapshot = registry.watch("legacy", 0, Duration::ZERO).await;
        let instances = snapshot.expect("in memory").instances;
        instances.iter().map(|r| r.instance.port).collect()
    }

    #[tokio::test]
    async fn what_leaves_the_file_is_deregistered_and_nothing_else_is() {
        let registry = ieum_discovery::memory::Registry::new();
        let mut own = registration(&legacy(1)).instance;
        own.meta.clear();
        own.id = InstanceId("registered-itself".into());
        let registration = Registration {
            instance: own,
            checks: Vec::new(),
        };
        registry.register(registration).await.expect("registers");
        register(&registry, &[legacy(2), legacy(3)])
            .await
            .expect("registers");
        register(&registry, &[legacy(3)]).await.expect("registers");
        let mut ports = ports(&registry).await;
        ports.sort_unstable();
        assert_eq!(ports, [1, 3]);
    }
}
