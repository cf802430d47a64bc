//! What clients are answered.

use std::collections::BTreeMap;

use ieum_base::redact;
use ieum_discovery::catalog::NODE_MAINTENANCE;
use ieum_discovery::consul::wire::{
    AgentService, CatalogService, CheckDetails, HealthCheck, HealthEntry, Node, Weights,
    status_name,
};
use ieum_discovery::{Check, CheckKind, Instance, InstanceId, Registered, Status};

use crate::consul::NodeInfo;

/// An instance with its checks.
pub(in crate::consul) fn entry(info: &NodeInfo, registered: &Registered) -> HealthEntry {
    HealthEntry {
        node: node(info),
        service: agent_service(info, registered),
        checks: health_checks(info, registered),
    }
}

/// The node.
pub(in crate::consul) fn node(info: &NodeInfo) -> Node {
    Node {
        id: info.id.clone(),
        node: info.name.clone(),
        address: info.address.clone(),
        datacenter: info.datacenter.clone(),
        tagged_addresses: info.tagged_addresses.clone(),
        meta: info.meta.clone(),
        create_index: info.created,
        modify_index: info.modified,
    }
}

/// An instance.
pub(in crate::consul) fn agent_service(info: &NodeInfo, registered: &Registered) -> AgentService {
    let instance = &registered.instance;
    AgentService {
        id: instance.id.0.clone(),
        service: instance.service.clone(),
        tags: instance.tags.clone(),
        meta: instance.meta.clone(),
        port: instance.port,
        address: instance.address.clone(),
        weights: Weights::from(instance),
        enable_tag_override: false,
        datacenter: info.datacenter.clone(),
        create_index: registered.created,
        modify_index: registered.modified,
    }
}

/// An instance as the catalog describes it.
pub(in crate::consul) fn catalog_service(
    info: &NodeInfo,
    registered: &Registered,
) -> CatalogService {
    let instance = &registered.instance;
    CatalogService {
        id: info.id.clone(),
        node: info.name.clone(),
        address: info.address.clone(),
        datacenter: info.datacenter.clone(),
        tagged_addresses: info.tagged_addresses.clone(),
        node_meta: info.meta.clone(),
        service_id: instance.id.0.clone(),
        service_name: instance.service.clone(),
        service_address: instance.address.clone(),
        service_tags: instance.tags.clone(),
        service_meta: instance.meta.clone(),
        service_port: instance.port,
        service_weights: Weights::from(instance),
        service_enable_tag_override: false,
        create_index: registered.created,
        modify_index: registered.modified,
    }
}

/// The checks of an instance.
pub(in crate::consul) fn health_checks(
    info: &NodeInfo,
    registered: &Registered,
) -> Vec<HealthCheck> {
    let checks = registered.checks.iter();
    checks
        .map(|check| match check.definition.id.0 == NODE_MAINTENANCE {
            true => maintenance_check(info, &check.definition.notes),
            false => health_check(info, registered, check),
        })
        .collect()
}

/// The check of a node in maintenance; it belongs to no instance.
pub(in crate::consul) fn maintenance_check(info: &NodeInfo, reason: &str) -> HealthCheck {
    HealthCheck {
        node: info.name.clone(),
        check_id: NODE_MAINTENANCE.to_owned(),
        name: "Node Maintenance Mode".to_owned(),
        status: status_name(Status::Critical).to_owned(),
        notes: reason.to_owned(),
        ..HealthCheck::default()
    }
}

fn health_check(info: &NodeInfo, registered: &Registered, check: &Check) -> HealthCheck {
    let instance = &registered.instance;
    let mut details = CheckDetails::from(&check.definition.kind);
    // A field may be a token: what was registered to be sent is nobody else's to read.
    details.header.clear();
    details.body.clear();
    HealthCheck {
        node: info.name.clone(),
        check_id: check.definition.id.0.clone(),
        name: check.definition.name.clone(),
        status: status_name(check.status).to_owned(),
        notes: check.definition.notes.clone(),
        output: check.output.clone(),
        service_id: instance.id.0.clone(),
        service_name: instance.service.clone(),
        service_tags: instance.tags.clone(),
        kind: kind_name(&check.definition.kind).to_owned(),
        interval: details.interval.clone(),
        timeout: details.timeout.clone(),
        definition: without_secrets(details),
        create_index: registered.created,
        modify_index: registered.modified,
    }
}

/// A check as it is shown to whoever asks: its credentials are for the one who runs it.
fn without_secrets(mut details: CheckDetails) -> CheckDetails {
    details.http = redact::text(&details.http).into_owned();
    details.body = redact::text(&details.body).into_owned();
    for (name, values) in &mut details.header {
        for value in values {
            *value = match redact::is_secret_name(name) {
                true => redact::HIDDEN.to_owned(),
                false => redact::text(value).into_owned(),
            };
        }
    }
    details
}

/// True if the instance has all of these tags, in any case, as in Consul.
pub(in crate::consul) fn has_tags<'a>(
    registered: &Registered,
    mut wanted: impl Iterator<Item = &'a str>,
) -> bool {
    let tags = &registered.instance.tags;
    wanted.all(|wanted| tags.iter().any(|tag| tag.eq_ignore_ascii_case(wanted)))
}

/// The service `consul`: the platform itself.
pub(in crate::consul) fn platform(info: &NodeInfo) -> Registered {
    Registered {
        instance: Instance {
            id: InstanceId("consul".to_owned()),
            service: "consul".to_owned(),
            address: info.address.clone(),
            port: 8300,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        },
        checks: Vec::new(),
        created: 1,
        modified: 1,
    }
}

const fn kind_name(kind: &CheckKind) -> &'static str {
    match kind {
        CheckKind::Http { .. } => "http",
        CheckKind::Tcp { .. } => "tcp",
        CheckKind::Ttl { .. } => "ttl",
        CheckKind::Told | CheckKind::Elsewhere => "",
    }
}
