//! Who exports: the facts about the process that go with every export.

use ieum_base::Uuid;

use crate::proto::{KeyValue, Resource, Scope};

/// What is known about the process beside the service's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(Vec<KeyValue>);

impl Facts {
    /// The facts that were configured, and our own where nothing else was said.
    pub(super) fn new(configured: &[KeyValue]) -> Self {
        let process = i64::from(std::process::id());
        let own = [
            KeyValue::new("telemetry.sdk.name", "ieum"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("process.pid", process),
            // In containers every process has the same number.
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ];
        let is_new = |fact: &KeyValue| configured.iter().all(|known| known.key != fact.key);
        let own = own.into_iter().filter(is_new);
        Self(configured.iter().cloned().chain(own).collect())
    }

    /// The resource of a service in this process.
    pub(super) fn resource(&self, service: &str) -> Resource {
        let name = KeyValue::new("service.name", service);
        let facts = self.0.iter().cloned();
        Resource {
            attributes: std::iter::once(name).chain(facts).collect(),
        }
    }

    /// The part of the program: all of it.
    pub(super) fn scope() -> Scope {
        Scope {
            name: "ieum".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
